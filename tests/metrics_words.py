"""The Chinese of docs/reference/metrics.md; metrics_page.py puts it in its places."""

HEAD = """\
# 指标

`xyfast.instrumentation.metrics.Metrics` 统计的内容，名称与 Prometheus 得到的相同（[监控](../howto/monitoring.zh.md)）。
本页由 `python tests/metrics_page.py` 根据 `xyfast.instrumentation.table` 里的表生成，过期时测试会失败。

计数器从 `Metrics` 建立时的 0 开始；带分类的从该分类的第一个事件开始，只有 examples/monitoring/alerts.yml 要看的那些
错误、死信和发送的分类从一开始就在。仪表值来自最近一次查看，最多是 `Settings.measure_every`（5 秒）以前的，存储不应答时
最多两倍；没人知道的值会省略，存储没有说的也一样。标签是账号和一个分类；超过前 10 000 个的账号合计为 `others`。直方图不分
账号，所以无论有多少账号，序列都不多。标签里没有机密，也没有消息正文。

OpenTelemetry 的仪器用同样的名称，前面加 `xyfast.`，去掉 `_total`，也去掉作为单位的 `_seconds` 和 `_bytes`。

"""

TABLE = "| 名称 | 种类 | 标签 | 含义 |\n| --- | --- | --- | --- |"
HOPS = "## 各段\n\n| 段 | 秒数 |\n| --- | --- |"

WORDS = {
    "counter": "计数器",
    "gauge": "仪表",
    "histogram": "直方图",
    "1; the version is a label.": "恒为 1；版本在标签里。",
    "When counting began, seconds since 1970.": "何时开始统计，1970 年以来的秒数。",
    "Accounts in each state.": "处于各状态的账号数。",
    "1 for the state in which an account is; the others are left out.": (
        "账号所处的状态为 1；其他状态省略。"
    ),
    "Changes of state, by the new state.": "状态变化次数，按新状态。",
    "Links that were registered.": "注册成功的连接数。",
    "Links that ended or could not be opened, by `Closed.trouble`; `closed` was wanted.": (
        "结束或未能建立的连接数，按 `Closed.trouble`；`closed` 是有意关闭的。"
    ),
    "Links in whose place another one was opened while they were up.": (
        "仍然连通时由另一个连接接替的连接数。"
    ),
    "Times that a link was found to hear nothing of what is pushed.": (
        "发现连接收不到任何推送的次数。"
    ),
    "Time since the account's link was registered; missing without a link.": (
        "账号的连接注册以来的时间；没有连接时省略。"
    ),
    "Heartbeats sent.": "发出的心跳数。",
    "Heartbeats answered with code 200.": "以代码 200 应答的心跳数。",
    "The link's last round trip of a heartbeat, at first of its registration.": (
        "连接最近一次心跳的往返时间，起初是注册的。"
    ),
    "Round trips of heartbeats over all accounts; the last one of each look is counted.": (
        "所有账号心跳的往返时间；每次查看只计最近一次。"
    ),
    "What went wrong, by row of [errors](errors.md); without an account for the store.": (
        "出了什么问题，按[错误表](errors.zh.md)的行；存储的问题不带账号。"
    ),
    "Messages that were stored and not known before.": "存下的、以前不知道的消息数。",
    "Messages that came again; they are not handled again.": "重复到达的消息数；不会再处理。",
    "Messages that were handled, and recorded so.": "处理完并已记录的消息数。",
    "Messages that no link brought and that were fetched from the server's lists.": (
        "没有连接送来、从服务器列表取回的消息数。"
    ),
    "Gaps found.": "发现的缺口数。",
    "Gaps whose handlers have not ended.": "处理函数尚未结束的缺口数。",
    "Messages that became dead letters: `payload` cannot be read, or a `handler` failed.": (
        "成为死信的消息数：`payload` 无法读取，或 `handler` 失败。"
    ),
    "Dead letters that the store holds.": "存储里现有的死信数。",
    "Runs in which a handler of a message failed.": "处理函数失败的运行次数。",
    "Further tries that failed handlers were given.": "失败的处理函数得到的重试次数。",
    "Messages to be sent, by outcome: `sent`, `refused`, `not sent`, `unknown` or `cancelled`.": (
        "要发送的消息数，按结果：`sent`、`refused`、`not sent`、`unknown` 或 `cancelled`。"
    ),
    "Time of each hop of a message, over all accounts.": "所有账号的消息在每一段花的时间。",
    "Messages in the store that are not handled, those in memory too.": (
        "存储里未处理的消息数，包括内存里的。"
    ),
    "Messages in memory that wait for their handlers or are being handled.": (
        "内存里等待处理或正在处理的消息数。"
    ),
    "How far handling is behind storing, in time of the server's stream.": (
        "处理落后于存储多少，以服务器流的时间计。"
    ),
    "Messages that wait to go out, or for their answer.": "等待发出或等待应答的消息数。",
    "Ids in the dedup window.": "去重窗口里的 id 数。",
    "Messages whose handlers run.": "处理函数正在运行的消息数。",
    "Messages in memory that wait for their turn.": "内存里等待轮到的消息数。",
    "Frames that wait for the store.": "等待存储的帧数。",
    "What these frames take.": "这些帧占用的大小。",
    "Messages that are handled, which the store has not recorded yet.": (
        "已经处理、存储尚未记录的消息数。"
    ),
    "Times that the event loop stood still.": "事件循环停滞的次数。",
    "For how long, together.": "合计多久。",
    "Times that the machine slept.": "机器休眠的次数。",
    "decoded": "从连接读到一帧，到其中的消息解码完；等待事件循环和等待空位都算在内",
    "stored": "从那时起，到这一帧提交到存储，包括需要的所有重试",
    "acked": "从那时起，到这次提交的确认写出",
    "started": (
        "从消息进入内存里的队列，到处理函数开始；此前在存储里的等待见 `xyfast_cursor_lag_seconds`"
    ),
    "handled": "从那时起，到处理函数结束，每次尝试单独计",
    "answered": (
        "从要求发送消息，到服务器应答，或回声、历史记录显示它已送达；等待轮到的时间也算在内"
    ),
}
