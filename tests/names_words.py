"""The Chinese of docs/reference/names.zh.md, by the English that it says.

By the English, so that a docstring that is changed has no Chinese until that is, too.
"""

from __future__ import annotations

HEAD = """\
# 名称

`from xyfast import ...` 能导入的全部名称，以及各个类的方法，每个一行；标题链接到详细的说明。参考各页的详细说明取自代码里的
文档字符串，是英文的；本页给出每个名称和方法的中文概要。其余的名称在 `xyfast.codec`、`xyfast.instrumentation`、`xyfast.store` 和 `xyfast.testing` 里。
本页由 `python tests/names_page.py` 生成，过时了测试会失败。
"""
TABLE = "| 名称 | 是什么 |\n| --- | --- |"

WORDS = {
    # Titles.
    "Client": "客户端",
    "Settings": "设置",
    "Messages": "消息",
    "Store": "存储",
    "Secrets": "机密与日志",
    "Errors": "异常",
    "Codec": "编解码器",
    # The client.
    "Receives for many accounts, hands messages to handlers, sends what they answer.": (
        "为多个账号接收消息，交给处理函数，发出它们的回复。"
    ),
    "Handlers by the class of what they take.": "处理函数，按它们接收的类登记。",
    "One account, ready to be given to a client.": "一个账号，可以直接交给客户端。",
    "Where an account stands.": "账号处于什么状态。",
    "The user's hook for new credentials.": "用户提供新凭据的钩子。",
    "What /reg is sent with, and how long it lives (seconds; None if not said).": (
        "/reg 带上的 token，以及它的有效时间（秒；没有说明则为 None）。"
    ),
    "Whoever can get a token for an account.": "能为账号取得 token 的对象。",
    "Tokens by the platform's HTTP call, on a thread of its own.": (
        "通过平台的 HTTP 调用取得 token，在单独的线程上。"
    ),
    # Settings.
    "What a client does by default, and where it connects to.": "客户端默认怎么做，连到哪里。",
    "The bounds of a store, in time and in size.": "存储在时间和大小上的界限。",
    "Where session material is kept: device ids, and cookies as the platform rotates them.": (
        "会话凭据保存在哪里：设备 id，以及平台轮换的 cookie。"
    ),
    "What a TOML file and `XYFAST_*` variables say.": "TOML 文件和 `XYFAST_*` 环境变量的内容。",
    # Messages.
    "What every message has.": "每条消息都有的内容。",
    "Someone wrote in a conversation of two.": "有人在两人会话里说了话。",
    "Someone wrote in a group; the fields are those of `ChatMessage`.": (
        "有人在群里说了话；字段与 `ChatMessage` 相同。"
    ),
    "An order moved on.": "订单有了进展。",
    "The platform's own words: tips, adverts, requests for a review.": (
        "平台自己的话：提示、广告、请求评价。"
    ),
    "A conversation with `peer_id` about `item_id` was opened; nothing is written yet.": (
        "与 `peer_id` 就 `item_id` 打开了会话；还没有人说话。"
    ),
    "The peer has read the messages `message_ids`.": "对方已读 `message_ids` 这些消息。",
    "The peer is typing in `conversation_id`.": "对方正在 `conversation_id` 里输入。",
    "The server says that message `message_id` exists, without its content.": (
        "服务器说消息 `message_id` 存在，但没有给出内容。"
    ),
    "A message that was older than the allowed age when it arrived.": (
        "到达时已经超过允许时限的消息。"
    ),
    "Messages between `start` and `end` (milliseconds) may be missing.": (
        "缺口：`start` 和 `end`（毫秒）之间可能缺了消息。"
    ),
    "A payload that could not be decoded; the payload itself is kept as a dead letter.": (
        "不能解码的 payload；它本身作为死信保留。"
    ),
    "A payload of a shape that we do not know; look at `tree`.": (
        "形状未知的 payload；内容见 `tree`。"
    ),
    "The server has taken a message.": "服务器已经收下了一条消息。",
    # Stores.
    "Keeps received messages until they are handled, and remembers them after.": (
        "把收到的消息保留到处理完，之后仍记得它们。"
    ),
    "Everything in one file: survives a crash of the process and of the machine.": (
        "全部放在一个文件里：进程或机器崩溃也不丢。"
    ),
    "Keeps everything in dicts: for tests, and for bots that may forget across a restart.": (
        "全部放在 dict 里：用于测试，以及重启后可以忘掉的机器人。"
    ),
    # Secrets.
    "A text that only `reveal` gives: nothing of it is in `str`, `repr` or `format`.": (
        "只有 `reveal` 才给出的文字：`str`、`repr` 和 `format` 里都没有它。"
    ),
    "Give `text` with `<secret>` in place of what is known to be one, or looks like one.": (
        "返回 `text`，其中已知是机密、或者看起来像机密的内容换成 `<secret>`。"
    ),
    "Takes secrets out of log records, for whatever handler and formatter comes after it.": (
        "从日志记录里去掉机密，不论之后用什么 handler 和 formatter。"
    ),
    "Keeps the session material of accounts: device id and cookies, as the platform rotates "
    "them.": "保存账号的会话凭据：设备 id 和 cookie，随平台轮换而更新。",
    "Session material in clear, in a folder for this user alone.": (
        "会话凭据，明文，放在只归这个用户的文件夹里。"
    ),
    "Session material encrypted by AES-256-GCM, else as `FileSecretStore` keeps it.": (
        "用 AES-256-GCM 加密的会话凭据，其余与 `FileSecretStore` 相同。"
    ),
    "Write what xyfast logs as lines of JSON, to standard error unless a `stream` is given.": (
        "把 xyfast 的日志写成 JSON 行，写到标准错误，除非给了 `stream`。"
    ),
    # Exceptions.
    "Base of all exceptions that xyfast raises on purpose.": "xyfast 有意抛出的所有异常的基类。",
    "A setting, account or file is wrong; the message names it and says what to do.": (
        "设置、账号或文件不对；消息指明是哪一个、该怎么办。"
    ),
    "A call came at a moment when it cannot be carried out.": "调用来得不是时候，不能执行。",
    "The inbox cannot be opened, read or written.": "收件箱打不开、读不了或写不了。",
    "Messages that wait, are being handled or are dead letters alone exceed the bounds.": (
        "仅等待中的、处理中的消息和死信就已超出界限。"
    ),
    'The platform gave no token. `code` is its `ret` code, or `"network"`.': (
        '平台没有给 token。`code` 是它的 `ret` 码，或者 `"network"`。'
    ),
    "The platform asks for a human. Nothing is tried until new cookies are given.": (
        "平台要求人工处理。在给出新 cookie 之前什么都不再尝试。"
    ),
    "The request surely did not go out; sending it again is safe.": (
        "请求肯定没有发出；再发一次是安全的。"
    ),
    "The server answered and refused, under whatever code.": "服务器应答了，而且拒绝了，不论用什么码。",
    "The request went out and no answer came: it may or may not have been carried out.": (
        "请求发出了，没有应答：可能执行了，也可能没有。"
    ),
    "The bytes are not what they should be.": "字节不是应有的样子。",
    "`decrypt` failed; the text starts with `解密失败: ` as users know it.": (
        "`decrypt` 失败；文字以用户熟悉的 `解密失败: ` 开头。"
    ),
    "An object has no MessagePack form, or is nested too deeply, or is too long.": (
        "对象没有 MessagePack 形式，或者嵌套太深，或者太长。"
    ),
    # The codec.
    "Return the text that the pure-Python `decrypt` of existing bots returns.": (
        "返回现有机器人里纯 Python 的 `decrypt` 返回的文字。"
    ),
    "Return a payload, a str or bytes-like ASCII text, as a dict with str keys.": (
        "把 payload（str，或 bytes 类的 ASCII 文字）解成键为 str 的 dict。"
    ),
    "Return the values at some paths of a payload, without building the rest.": (
        "返回 payload 里若干路径上的值，不构造其余部分。"
    ),
    "Return the one value that MessagePack data holds, as `msgpack.unpackb` does.": (
        "返回 MessagePack 数据里的那个值，与 `msgpack.unpackb` 相同。"
    ),
    "Return a value as MessagePack, in the shortest form, as `msgpack.packb` does.": (
        "把值编成 MessagePack，用最短的形式，与 `msgpack.packb` 相同。"
    ),
    "Return the bytes of base64 text in the standard alphabet.": (
        "返回 base64 文字（标准字母表）的字节。"
    ),
    "Return bytes as padded base64 text in the standard alphabet.": (
        "把字节编成带填充的 base64 文字（标准字母表）。"
    ),
    "A bounded set of ids that forgets by age.": "有界的 id 集合，按时间忘记。",
    # What classes do.
    "Decorate a handler for messages of class `kind`; see `Router.on`.": (
        "装饰器：登记接收 `kind` 类消息的处理函数；见 `Router.on`。"
    ),
    "The accounts that were added, in that order.": ("已添加的账号，按添加的先后。"),
    "Whether session material is kept in a store of its own: `secrets`.": (
        "会话凭据是否存放在单独的存储 `secrets` 里。"
    ),
    "Where the status page is; None while it is not served (`Settings.status`).": (
        "状态页的地址；没有提供状态页时为 None（`Settings.status`）。"
    ),
    "Where an account stands; raises `StateError` if it was never added.": (
        "账号处于什么状态；从未添加过则抛出 `StateError`。"
    ),
    "Take in an account and start connecting it.": ("添加一个账号并开始连接。"),
    "Close an account's link and open none until `resume`.": (
        "关闭账号的链路，到 `resume` 之前不再打开。"
    ),
    "Connect an account again that was paused or kicked; else nothing happens.": (
        "让暂停的或被踢下线的账号重新连接；否则什么也不做。"
    ),
    "Open another link of an account that is connected, and then close the one of now.": (
        "为已连接的账号先打开另一条链路，再关闭现在这一条。"
    ),
    "Stop an account and forget it, in whatever state it is.": (
        "停止并移除一个账号，不论它处于什么状态。"
    ),
    "Go on with new cookies of an account, in whatever state it is.": (
        "让账号用新的 cookie 继续，不论它处于什么状态。"
    ),
    "Work until SIGTERM, SIGINT or `close`, then stop cleanly.": (
        "一直运行到 SIGTERM、SIGINT 或 `close`，然后正常停止。"
    ),
    "Stop: take nothing new, let running handlers finish, record, close the links.": (
        "停止：不再接收，让运行中的处理函数结束，记录结果，关闭链路。"
    ),
    "Send a text into a conversation.": ("向会话发送一条文本。"),
    "Send an uploaded picture, its size in pixels; returns and raises as `send_text`.": (
        "发送一张已上传的图片，尺寸以像素计；返回值和异常同 `send_text`。"
    ),
    "Send any request and return the body of its answer, as JSON gives it.": (
        "发送任意请求，返回应答的 body，与 JSON 读出的相同。"
    ),
    "One page of a conversation's messages, the newest first.": ("会话消息的一页，最新的在前。"),
    "One page of an account's conversations, the last changed first.": (
        "账号会话的一页，最近有变化的在前。"
    ),
    "Decorate an async function that takes messages of class `kind`.": (
        "装饰器：登记接收 `kind` 类消息的 async 函数。"
    ),
    "The handlers that take `message`, in order, with their names.": (
        "接收 `message` 的处理函数及其名字，按先后。"
    ),
    "The own user id: the value of the cookie `unb`, digits.": (
        "自己的用户 id：cookie `unb` 的值，全是数字。"
    ),
    "What this account goes through, `general` unless it has its own; None: no proxy.": (
        "这个账号走的代理，自己没有设置就是 `general`；None 表示不用代理。"
    ),
    "Make an account from a browser's cookie string (`a=1; b=2`).": (
        "由浏览器的 cookie 字符串（`a=1; b=2`）得到账号。"
    ),
    "Read an account from a TOML file.": ("从 TOML 文件读出账号。"),
    "Give the account with the cookies of an answer merged in, as `merge_cookies` does.": (
        "返回并入了应答里 cookie 的账号，规则同 `merge_cookies`。"
    ),
    "Give the account with new cookies, or None if there are none yet.": (
        "返回带有新 cookie 的账号；还没有则返回 None。"
    ),
    "Get a token for `account`, whose `device_id` is set.": (
        "为 `account` 取得 token；它的 `device_id` 已设置。"
    ),
    "Read settings: the defaults, then a file, then variables, then `values`.": (
        "读取设置：先是默认值，再是文件、环境变量，最后是 `values`。"
    ),
    "Read a file, then variables, which are stronger.": ("先读文件，再读环境变量，后者优先。"),
    "Read the cookies of all accounts.": ("读取所有账号的 cookie。"),
    "Make the store, for a `Client`.": ("建立存储，供 `Client` 使用。"),
    "Make the store of secrets, for a `Client`; None if the store of messages keeps them.": (
        "建立机密存储，供 `Client` 使用；机密由消息存储保存则为 None。"
    ),
    "Answer with a text in the same conversation.": ("在同一会话里用文本回复。"),
    "Answer with a picture that was uploaded to `url`; its size is in pixels.": (
        "用已上传到 `url` 的图片回复；尺寸以像素计。"
    ),
    "The account that received the message.": ("收到这条消息的账号。"),
    "The conversation of the message.": ("这条消息所在的会话。"),
    "The key of the message.": ("这条消息的键。"),
    "Make ready; what an earlier run had taken waits again, counted as redelivered.": (
        "做好准备；上次运行取走的消息重新等待，计为再次投递。"
    ),
    "Commit all of it at once; returns the `(account_id, key)` of rows that are new.": (
        "一次提交全部内容；返回新行的 `(account_id, key)`。"
    ),
    "Take the waiting rows that are first in line: `limit`, or fewer if they are large.": (
        "取走排在最前的等待行：`limit` 行，行大则更少。"
    ),
    "Let taken rows wait again: as though they had not been taken, if no handler has begun.": (
        "让取走的行重新等待；没有处理函数开始过的，就当没有取走过。"
    ),
    "What is kept of an account; all None for a new one.": (
        "一个账号保存的内容；新账号全是 None。"
    ),
    "Keep an account's session material (device id, rotated cookies): a secret.": (
        "保存账号的会话凭据（设备 id、轮换的 cookie）：属于机密。"
    ),
    "Those of `keys` that have a row, in whatever state.": (
        "`keys` 里已有行的那些，不论处于什么状态。"
    ),
    "Dead letters with their numbers, oldest first; `after` is the last number seen.": (
        "死信及其编号，最早的在前；`after` 是已看到的最后一个编号。"
    ),
    "How much there is by account; accounts without any are left out. For observers.": (
        "每个账号各有多少；一条也没有的账号不列出。供观察者使用。"
    ),
    "Let handled or dead messages wait again, counted as redelivered; returns how many.": (
        "让已处理的消息或死信重新等待，计为再次投递；返回条数。"
    ),
    "Accounts with rows that another process let wait again since the last call.": (
        "自上次调用以来，有行被另一进程改为重新等待的账号。"
    ),
    "Forget what was kept for long enough; returns how many rows went.": (
        "删去保存期已满的内容；返回删去的行数。"
    ),
    "Keep a message that is to be sent; returns what is kept by that name.": (
        "保存一条要发送的消息；返回这个名字下保存的内容。"
    ),
    "Record what became of a posted message; one that is not kept stays unknown.": (
        "记录一条待发消息的结果；没有保存的仍为未知。"
    ),
    "Posted messages that are queued or out, in the order in which they were posted.": (
        "排队中或已发出而未有结果的消息，按提交的先后。"
    ),
    "The `limit` posted messages with an outcome that were posted last, in that order.": (
        "已有结果的待发消息里最后提交的 `limit` 条，按提交的先后。"
    ),
    "Finish and let go of everything; further calls raise `StoreError`.": (
        "做完手头的事并释放一切；之后的调用抛出 `StoreError`。"
    ),
    "Open or make the file; one of an older version is brought up to date.": (
        "打开或新建文件；旧版本的文件升级到当前版本。"
    ),
    "How each account is, by id.": ("各账号的情况，按 id。"),
    "Handled messages of an account with their marks, those handled longest ago first.": (
        "一个账号已处理的消息及其标记，处理得最早的在前。"
    ),
    "Count dead letters as handled now; returns how many there were.": (
        "把死信计为现在已处理；返回条数。"
    ),
    "Messages of all accounts that have not gone out, with their numbers, in their order.": (
        "所有账号还没有发出的消息及其编号，按先后。"
    ),
    "Let messages never go out, as if they had been refused; returns how many there were.": (
        "让这些消息不再发出，如同已被拒绝；返回条数。"
    ),
    "Carry out what was asked for before, close the file and end the thread.": (
        "完成之前要求的事，关闭文件并结束线程。"
    ),
    "Nobody: no other process reaches this store.": ("没有：其他进程到不了这个存储。"),
    "The text. Whoever calls this keeps it out of logs, errors and files.": (
        "原文。调用者要让它不进日志、异常和文件。"
    ),
    "Make ready.": ("做好准备。"),
    "What `save` got last, also by an earlier run; None for a new account.": (
        "`save` 最后一次得到的内容，包括以前的运行；新账号为 None。"
    ),
    "Keep this in place of what was kept; a call that raised has changed nothing.": (
        "用它取代原来保存的内容；抛出异常的调用什么也没有改变。"
    ),
    "Carry out what was asked for before, and let go of everything.": (
        "完成之前要求的事，并释放一切。"
    ),
    "Read all that is kept, beside whoever has it open; of how many accounts that is.": (
        "在别人打开着的同时读出保存的全部内容；返回涉及多少个账号。"
    ),
}
