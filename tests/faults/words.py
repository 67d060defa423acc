"""docs/faults.zh.md: the measured page in Chinese, with the same figures."""

from __future__ import annotations

import re

__all__ = ["chinese"]

_HEAD = """\
# 故障

链路上会出什么问题、我们的客户端怎样应对、代价是多少，旁边是脚本里常见的两种循环。由 `make faults` 测量并写成本页。

每个机器人在半分钟里每秒收到四条消息，然后发生故障。数字表示多久之后它处理了故障之后推送的消息；它始终没有处理的算丢失。三者都是每条消息只收一次，
收到立即确认。websockets 的循环是它会重连的迭代器，ping 用默认值；aiohttp 的循环 5 秒后重新拨号，设了 `heartbeat=40`。两者都每 15 秒
发心跳，为每条链路取一次 token，并像多数脚本那样告诉服务器到现在为止的都收到了。

服务器是 `xyfast.testing.FakeServer`：没人确认的，它 30 秒后以及在新链路上会重发。换成别的服务器，那两种循环的代价可能更大。

"""
_TAIL = """\

## 每种故障一页

你会看到什么、xyfast 做什么、你该做什么：

- 链路：[断开](faults/reset.zh.md)、[半开](faults/half-open.zh.md)、[失聪](faults/deaf-link.zh.md)、
  [事件循环被阻塞](faults/blocked-loop.zh.md)、[时钟与睡眠](faults/clock.zh.md)
- 路上：[代理](faults/proxy.zh.md)、[DNS](faults/dns.zh.md)、[TLS](faults/tls.zh.md)
- 账号：[被踢下线](faults/kicked.zh.md)、[需要登录](faults/needs-login.zh.md)、
  [风控](faults/risk-control.zh.md)、[token 接口不可用](faults/token-endpoint.zh.md)
- 消息：[缺口](faults/gaps.zh.md)、[死信](faults/dead-letters.zh.md)、[存储已满或失败](faults/store.zh.md)
"""
_BUILDS = {
    "release, guided by a profile": "release，按实际运行的统计优化",
    "release": "release",
    "debug": "debug",
}
_REDIALS = "重新拨号；已存活 30 秒的链路断开后，在 1 秒内"
_WORDS = {
    "fault": "故障",
    "what you see": "你会看到",
    "what xyfast does": "xyfast 做什么",
    "reset": "连接重置",
    "the connection is reset": "连接被重置",
    "dials again, within 1 s after a link that lived for 30 s": _REDIALS,
    "cut": "中途切断",
    "the stream ends within a frame": "流在一帧的中间结束",
    "half-open": "半开",
    "the link falls silent, its socket stays open": "链路没有声音了，套接字还开着",
    "gives the link up when no heartbeat was answered for 30 s": "30 秒没有心跳应答就放弃链路",
    "half-open, 2/4 s": "半开，2/4 秒",
    "the same, with a heartbeat every 2 s": "同上，每 2 秒一次心跳",
    "gives the link up after 4 s": "4 秒后放弃链路",
    "zombie": "失聪",
    "heartbeats are answered, nothing is pushed any more": "心跳有应答，但不再有推送",
    "asks for the newest conversations after 45 to 60 s of silence, fetches what was missed and "
    "replaces the link": "安静 45 到 60 秒后询问最新的会话，取回漏掉的，并替换链路",
    "session gone": "登录会话没了",
    "every request is answered with 401, the socket stays open": (
        "每个请求都得到 401，套接字还开着"
    ),
    "gives the link up after three refused heartbeats, and fetches a new token": (
        "心跳三次被拒绝后放弃链路，并取新 token"
    ),
    "slow handshake": "握手太慢",
    "the link is reset, and handshakes take longer than anybody waits for 20 s": (
        "链路被重置，此后 20 秒里握手慢得谁都等不到"
    ),
    "gives each dial up after 10 s and dials again, ever more slowly": (
        "每次拨号 10 秒后放弃，再拨，间隔越来越长"
    ),
    "trickle": "细流",
    "frames come in pieces of 64 bytes": "帧以 64 字节的碎片到来",
    "reads on": "继续读",
    "blocked loop": "循环被阻塞",
    "a handler blocks the event loop for 60 s": "处理函数阻塞事件循环 60 秒",
    "goes on beating in Rust, keeps the link and what comes, and logs where the loop stands": (
        "心跳在 Rust 里继续，链路和到来的消息都保住，日志写明循环停在哪里"
    ),
    "machine slept": "机器睡眠",
    "the machine wakes, and its links have died meanwhile": "机器醒来，链路在此期间已经死了",
    "tests each link when the clock has moved, and gives it up when it does not answer for 5 s": (
        "时钟跳动就测试每条链路，5 秒不应答就放弃"
    ),
    "no tokens": "没有 token",
    "the link is reset, and the token endpoint fails for 20 s": (
        "链路被重置，token 接口有 20 秒不可用"
    ),
    "dials again with the token at hand": "用手头的 token 重新拨号",
    "restart": "服务器重启",
    "the server is gone for 10 s": "服务器消失 10 秒",
    "dials again at random times below 10, 20, ... 60 s": (
        "在上限为 10、20……60 秒的随机时刻重新拨号"
    ),
}


def chinese(page: str) -> str:
    """Return the Chinese of the page; KeyError for words that have none yet."""
    rows = [line for line in page.splitlines() if line.startswith("|")]
    made = re.search(r"Measured on Python (\S+), (\d+) cores. Build: (.+)\.", page)
    assert made is not None
    lines = ["| " + " | ".join(map(_cell, row[2:-2].split(" | "))) + " |" for row in rows]
    lines[1] = rows[1]
    end = f"测量环境：Python {made[1]}，{made[2]} 个核。构建：{_BUILDS[made[3]]}。"
    return _HEAD + "\n".join(lines) + f"\n\n{end}\n" + _TAIL


def _cell(words: str) -> str:
    if words in ("xyfast", "websockets", "aiohttp", "---") or not words:
        return words
    if code := re.fullmatch(r"(?:the server closes with|close) (\d+)", words):
        return f"以 {code[1]} 关闭" if words.startswith("close") else f"服务器以 {code[1]} 关闭"
    if re.match(r"[\d.]+ s|never", words):
        for english, translated in (
            (r"never \(([\d.]+) s\)", r"从未（\1 秒）"),
            (r"([\d.]+) s", r"\1 秒"),
            (r", (\d+) lost", r"，丢 \1 条"),
            (r", (\d+) doubled", r"，重复 \1 条"),
        ):
            words = re.sub(english, translated, words)
        return words
    return _WORDS[words]
