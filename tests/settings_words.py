"""The Chinese of docs/reference/settings.zh.md, by the English that it says.

By the English, so that a comment that is changed in the code has no Chinese until that is, too.
"""

from __future__ import annotations

HEAD = """\
# 设置

客户端的每一个数字、它的默认值和含义。本页由 `python tests/settings_page.py` 从代码里的注释生成，
过时了测试会失败。

`Client(settings=Settings(heartbeat=10.0))` 修改其中几项。所有数字都必须大于零，只有 `handler_retries` 和
`blocked_after` 可以是 0；其他值会抛出 `ConfigError`，指明是哪个字段。存储保留什么、保留多久，由 `Retention` 决定：
`Client(store=SqliteStore("xyfast.db", Retention(keep=86_400.0)))`。`Secrets` 说明会话凭据保存在哪里
（[保密](../howto/secrets.zh.md)）。它们都从 `xyfast` 导入。

文件里它们写在 `[settings]`、`[retention]` 和 `[secrets]`；环境变量是在 `XYFAST_`、`XYFAST_RETENTION_` 和
`XYFAST_SECRETS_` 之后加上大写的名字（[配置](../howto/configure.zh.md)）。
"""
TABLE = "| 名称 | 默认值 | 单位 | 含义 |\n| --- | --- | --- | --- |"

WORDS = {
    # Titles.
    "Where to connect": "连到哪里",
    "Links": "链路",
    "Tokens": "Token",
    "Waits between dials": "两次拨号之间的等待",
    "Requests, sending, and what is known": "请求、发送、记住什么",
    "What was missed": "漏掉的消息",
    "Handlers, memory and the store": "处理函数、内存与存储",
    "The status page": "状态页",
    # Secrets.
    "`plain` is a `FileSecretStore`, `encrypted` an `EncryptedSecretStore`, which takes "
    "`pip install xyfast[crypto]`. None is the store of messages, in clear.": (
        "`plain` 是 `FileSecretStore`，`encrypted` 是 `EncryptedSecretStore`，后者需要 "
        "`pip install xyfast[crypto]`。无则放在消息的存储里，明文。"
    ),
    "Path of the folder.": "文件夹的路径。",
    "Path of the file with the key, 32 random bytes in base64, which only its owner may read "
    "(mode 0600). None is the key of the variable `XYFAST_SECRETS_KEY`.": (
        "密钥文件的路径，内容是 32 个随机字节的 base64，只有所有者能读（权限 0600）。"
        "无则用环境变量 `XYFAST_SECRETS_KEY` 里的密钥。"
    ),
    # Units and defaults.
    "text": "文本",
    "s": "秒",
    "number": "个",
    "yes or no": "是或否",
    "bytes": "字节",
    "characters": "字符",
    "factor": "倍数",
    "messages/s": "条/秒",
    "yes": "是",
    "no": "否",
    "none": "无",
    # Meanings.
    "WebSocket address. `ws://` is taken for loopback hosts only.": (
        "WebSocket 地址。`ws://` 只用于本机地址。"
    ),
    "Base of the HTTP calls; `http://` is taken for loopback hosts only.": (
        "HTTP 调用的根地址；`http://` 只用于本机地址。"
    ),
    "Take `ws://` and `http://` to other hosts too: cookies and tokens go out in clear.": (
        "对其他主机也允许 `ws://` 和 `http://`：cookie 和 token 以明文发出。"
    ),
    "Path of a PEM file with certificate authorities to trust beside the system's. It is read "
    "when a client is made; one that cannot be used is a `ConfigError` then.": (
        "PEM 文件的路径，其中的证书机构与系统的一并信任。创建客户端时读取；不能用的当时就是 `ConfigError`。"
    ),
    "What links and token calls go through: `http://`, `socks5://` or `socks5h://`, then "
    "`user:password@` if needed, host and port. Accounts may have their own, or none. "
    "Variables such as `HTTPS_PROXY` are not read.": (
        "链路和 token 调用经过的代理：`http://`、`socks5://` 或 `socks5h://`，需要时接 `user:password@`，"
        "然后是主机和端口。账号可以有自己的，也可以不用。不读取 `HTTPS_PROXY` 之类的环境变量。"
    ),
    "Time between two heartbeats of a link.": "链路两次心跳的间隔。",
    "Most time without a good answer to a heartbeat; then the link is given up.": (
        "心跳最长多久没有良好的应答；超过就放弃链路。"
    ),
    "Heartbeats in a row answered with another code than 200 that end a link.": (
        "心跳连续多少次得到 200 以外的应答码，就结束链路。"
    ),
    "Most time from dialling to the answer to /reg.": "从拨号到 /reg 得到应答的最长时间。",
    "Most time for the closing handshake, and before it for what is under way on a link that "
    "another one has replaced.": (
        "关闭握手的最长时间；也是在此之前，等待被替换的链路上进行中的请求的最长时间。"
    ),
    "Largest WebSocket message; a larger one ends its link.": (
        "最大的 WebSocket 消息；更大的会结束链路。"
    ),
    "Largest WebSocket frame: as large as a message, since a package comes in one frame.": (
        "最大的 WebSocket 帧：与消息一样大，因为一个包放在一帧里。"
    ),
    "Frames of one link that wait for the event loop before its socket is no longer read.": (
        "一条链路上有多少帧在等待事件循环时，就不再读它的套接字。"
    ),
    "The same in bytes.": "同上，以字节计。",
    "Age at which a token is replaced, give or take 5 %, or earlier if the server says so.": (
        "token 用多久后更换，上下浮动 5 %；服务器要求更早时更早。"
    ),
    "Least time between two tries to refresh the token of a link that is up.": (
        "链路正常时，两次尝试刷新 token 的最短间隔。"
    ),
    "Most time for one HTTP call.": "一次 HTTP 调用的最长时间。",
    "Age from which a link was healthy when it ends: the back-off starts anew.": (
        "链路活了多久才断开算健康：退避重新开始。"
    ),
    "Bound of the wait after a healthy link was lost.": "健康的链路断开后，等待的上限。",
    "Factor on every back-off bound; tests and demos shorten their waits with it.": (
        "乘在每个退避上限上的倍数；测试和演示用它缩短等待。"
    ),
    "New links a second to one endpoint, over all accounts and clients of the process. While the "
    "endpoint is down one of them tries at a time. The strictest client's pace counts.": (
        "每秒对一个地址新建的链路数，进程的所有账号和客户端合计。地址不可用期间每次只有一个去试。"
        "以最严格的客户端的速率为准。"
    ),
    "New links that may go out at once after a quiet time.": "安静一段时间之后，可以同时新建的链路数。",
    "Token calls a second, likewise; at most as many are under way at once.": (
        "每秒的 token 调用数，同上；同时进行的最多也是这么多。"
    ),
    "Token calls that may go out at once after a quiet time.": (
        "安静一段时间之后，可以同时发出的 token 调用数。"
    ),
    "Failed dials in a row before credentials are asked for.": "连续多少次拨号失败后，索要凭据。",
    "Bound of the wait in FAILED when no new credentials come; at least half of it.": (
        "在 FAILED 里没有新凭据时，等待的上限；至少等一半。"
    ),
    "Most time for the server's answer to a request.": "服务器应答一个请求的最长时间。",
    "Most time that a message waits for its turn and for a link before it is `NotSent`.": (
        "一条消息等待轮到自己、等待链路的最长时间；超过就是 `NotSent`。"
    ),
    "Messages a second that an account may send in the long run.": "一个账号长期每秒可以发送的条数。",
    "Messages that an account may send at once after a quiet time.": (
        "安静一段时间之后，一个账号可以连发的条数。"
    ),
    "Messages a second that may go into one conversation in the long run.": (
        "一个会话长期每秒可以发送的条数。"
    ),
    "Messages that may go into one conversation at once after a quiet time.": (
        "安静一段时间之后，一个会话可以连发的条数。"
    ),
    "Time from writing a message without an answer to asking history; then once more.": (
        "消息写出后没有应答，隔多久去查历史；然后隔同样久再查一次。"
    ),
    "How far apart the server's own times may be when a sent message is looked for.": (
        "查找已发消息时，允许服务器自己的几个时间相差多少。"
    ),
    "Age on arrival past which a message goes to the handlers of `Expired`.": (
        "到达时已超过这个时间的消息，交给 `Expired` 的处理函数。"
    ),
    "Ids of an account that are known without asking the store.": (
        "一个账号有多少个 id 不用问存储就认得。"
    ),
    "Time for which they are, from the first sight.": "从第一次见到起，认得多久。",
    "Time without a package after which the server's replay is taken to be over.": (
        "多久没有收到包，就认为服务器的补发结束了。"
    ),
    "Most pages of 20 messages that are read of one conversation for what was missed.": (
        "为取回漏掉的消息，一个会话最多读多少页，每页 20 条。"
    ),
    "Most conversations that are looked at for what was missed, not counting those whose last "
    "message is here.": "为取回漏掉的消息，最多查看多少个会话，最后一条消息已在这里的不算。",
    "Most time for which an account's messages wait while what was missed is fetched.": (
        "取回漏掉的消息期间，账号的新消息最长等多久。"
    ),
    "Time within which a message that the server announces is to come by itself.": (
        "服务器预告的消息应在多久之内自己到来。"
    ),
    "Time without a push, or a quarter less, after which the server is asked whether it has what "
    "the link did not bring; a link that hears nothing is replaced.": (
        "多久没有推送（或再少四分之一）就去问服务器，有没有链路没带来的东西；什么都听不到的链路会被替换。"
    ),
    "Time, or a quarter more, from catching up over a link or from the end of another one to "
    "comparing with the server's lists again: by then it has given up links that died unnoticed.": (
        "从一条链路上追赶完毕、或另一条链路结束，到再次与服务器的列表对照的时间（或再多四分之一）："
        "到那时，服务器已经放弃了悄悄死掉的链路。"
    ),
    "Handlers running at once, over all accounts.": "同时运行的处理函数，所有账号合计。",
    "Most time for one run of a handler; then it is cancelled, again and again if it goes on. One "
    "that blocks the event loop (`time.sleep`) is not: use `asyncio.to_thread` for that.": (
        "处理函数运行一次的最长时间；超过就取消，还在运行就反复取消。阻塞事件循环的（`time.sleep`）"
        "取消不了：这种情况请用 `asyncio.to_thread`。"
    ),
    "New tries of a handler that failed, 0 for none; then its message is a dead letter.": (
        "处理函数失败后再试几次，0 为不再试；之后它的消息成为死信。"
    ),
    "Bound of the wait before the first new try; it doubles with each.": (
        "第一次重试前等待的上限；每次加倍。"
    ),
    "Messages in memory, over all accounts; the others wait in the store.": (
        "内存里的消息，所有账号合计；其余在存储里等待。"
    ),
    "The same in characters of their payloads; one larger message may come on top.": (
        "同上，以 payload 的字符计；另外可以再有一条更大的消息。"
    ),
    "Messages of one conversation that are taken into memory as they come.": (
        "一个会话有多少条消息可以到来时直接进内存。"
    ),
    "Messages in one transaction of the store; the last frame in it may bring more.": (
        "存储的一个事务里的消息数；其中最后一帧可能带来更多。"
    ),
    "Most time for which the record of a handled message waits to be committed with others; if "
    "the process is killed meanwhile, the message comes again.": (
        "已处理的记录等着与其他记录一起提交的最长时间；期间进程被杀，消息会再来。"
    ),
    "Frames, with 1024 beside the text of each, that wait for the store before links are not "
    "read; if it fails, they are closed.": (
        "等待存储的帧（每帧文本之外另计 1024）达到多少就不再读链路；存储失败时关闭链路。"
    ),
    "Time from a failure of the store to the next try.": "存储失败后隔多久再试。",
    "Time between two rounds in which the store forgets what was kept for long enough.": (
        "存储清理到期内容的间隔。"
    ),
    "Time between two looks at how accounts and the client stand, for observers, if any.": (
        "查看账号和客户端当前情况的间隔，供观察者使用；没有观察者就不查看。"
    ),
    "Time between two looks for messages that another process lets wait again.": (
        "隔多久查看一次，有没有别的进程让消息重新等待处理。"
    ),
    "Time that running handlers get when the client stops, and then a store that fails.": (
        "客户端停止时，留给正在运行的处理函数的时间，之后留给失败的存储的时间。"
    ),
    "Time for which the event loop may stand still before the log says where; 0 for ever. Of "
    "several clients on one loop the first one's counts.": (
        "事件循环停滞多久，日志就写明停在哪里；0 为永不。一个循环上有几个客户端时，以第一个的为准。"
    ),
    "Host and port, on loopback, at which the client serves its status page; port 0 is any free "
    "one. Without it there is no page.": (
        "客户端提供状态页的主机和端口，只能是本机地址；端口 0 为任意空闲端口。不设就没有状态页。"
    ),
    "What whoever pauses accounts or replays dead letters there has to know: 16 characters or "
    "more. Without it nobody can.": (
        "在状态页上暂停账号、重放死信的人必须知道的内容：至少 16 个字符。不设就谁也不能操作。"
    ),
    "Seconds for which a handled message, or one that was sent, is remembered.": (
        "已处理或已发送的消息记住多少秒。"
    ),
    "Seconds for which a dead letter is kept.": "死信保留多少秒。",
    "Messages in the inbox.": "收件箱里的消息数。",
    "Bytes that the store uses.": "存储占用的字节数。",
    "Messages in the outbox that have no outcome; past it `Store.post` raises `StoreFull`.": (
        "发件箱里没有结果的消息数；超过时 `Store.post` 抛出 `StoreFull`。"
    ),
    "Characters of their content; past it `Store.post` raises `StoreFull`.": (
        "它们内容的字符数；超过时 `Store.post` 抛出 `StoreFull`。"
    ),
}
