"""The Chinese of docs/reference/names.zh.md, by the English that it says.

By the English, so that a docstring that is changed has no Chinese until that is, too.
"""

from __future__ import annotations

HEAD = """\
# 名称

`from xyfast import ...` 能导入的全部名称，每个一行；标题链接到详细的说明。参考各页的详细说明取自代码里的文档字符串，是英文的；本页给出
每个名称的中文概要。其余的名称在 `xyfast.codec`、`xyfast.instrumentation`、`xyfast.store` 和 `xyfast.testing` 里。
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
}
