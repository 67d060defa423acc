const WORDS = {
  en: {
    other: "中文", accounts: "Accounts", latencies: "Latencies", deadLetters: "Dead letters",
    gaps: "Gaps", moves: "Changes of state", query: "Filter by id, name or state",
    token: "Token", live: "live", polling: "asked now and then", off: "not reachable",
    ready: "ready", notReady: "not ready", up: "running for", more: "Next page", first: "First page",
    latenciesAre: "Bars: since the beginning. Numbers: the last minute.", none: "none",
    matching: (shown, all) => `${shown} of ${all} are shown, trouble first.`,
    connected: "connected", received: "received", handled: "handled", sent: "sent",
    inbox: "inbox", letters: "dead letters", openGaps: "open gaps", lag: "behind by",
    running: "handlers running", waiting: "waiting in memory", unstored: "not stored yet",
    sending: "being sent", blocked: "loop blocked", errors: "errors",
    account: "account", state: "state", link: "link age", trip: "heartbeat", rates: "in / done per s",
    dead: "dead", gap: "gaps", actions: "", time: "time", conversation: "conversation", reason: "reason",
    cause: "kind", payload: "not readable", handler: "handler failed", from: "from", to: "to",
    again: "tries", pause: "Pause", paused: "paused", resume: "Resume", replace: "Replace link", replay: "Replay",
    wait: (time) => `next try after ${time}`, done: (what) => `Done: ${what}`,
    refused: (why) => `Refused: ${why}`,
    hop: {
      decoded: "read until decoded", stored: "until stored", acked: "until acknowledged",
      started: "wait for the handler", handled: "handler", answered: "sent until answered",
      heartbeat: "heartbeat round trip",
    },
    states: {},
    units: ["d", "h", "min", "s", "ms", "µs"],
  },
  zh: {
    other: "English", accounts: "账号", latencies: "耗时", deadLetters: "死信",
    gaps: "缺口", moves: "状态变化", query: "按 ID、名称或状态筛选",
    token: "操作 token", live: "实时", polling: "定时查询", off: "无法连接",
    ready: "就绪", notReady: "未就绪", up: "已运行", more: "下一页", first: "第一页",
    latenciesAre: "柱状图：启动以来。数字：最近一分钟。", none: "无",
    matching: (shown, all) => `共 ${all} 个，显示 ${shown} 个，有问题的在前。`,
    connected: "已连接", received: "已接收", handled: "已处理", sent: "已发送",
    inbox: "收件箱", letters: "死信", openGaps: "未处理的缺口", lag: "处理落后",
    running: "运行中的处理函数", waiting: "内存中等待", unstored: "尚未存储",
    sending: "正在发送", blocked: "事件循环阻塞", errors: "错误",
    account: "账号", state: "状态", link: "链路时长", trip: "心跳", rates: "每秒 收 / 处理",
    dead: "死信", gap: "缺口", actions: "", time: "时间", conversation: "会话", reason: "原因",
    cause: "类别", payload: "无法读取", handler: "处理函数失败", from: "从", to: "到",
    again: "次数", pause: "暂停", paused: "已暂停", resume: "恢复", replace: "更换链路", replay: "重放",
    wait: (time) => `${time}后重试`, done: (what) => `已完成：${what}`,
    refused: (why) => `被拒绝：${why}`,
    hop: {
      decoded: "读取到解码", stored: "到存储", acked: "到确认",
      started: "等待处理函数", handled: "处理函数", answered: "发送到回应",
      heartbeat: "心跳往返",
    },
    states: {
      "disconnected": "未连接", "connecting": "连接中", "connected": "已连接",
      "reconnecting": "重连中", "failed": "失败", "needs login": "需要登录", "kicked": "被踢下线",
      "draining": "收尾中", "closed": "已关闭",
    },
    units: ["天", "小时", "分", "秒", "毫秒", "微秒"],
  },
};
const COLOURS = {
  "connected": "good", "connecting": "warn", "reconnecting": "warn", "failed": "bad",
  "needs login": "bad", "kicked": "bad",
};
const SPEED = 2000; // milliseconds between two questions, where there are no events

let language = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
let words = WORDS[language];
let status = null; // the last one that came
let mood = ""; // live, polling or off
let source = null; // of events
let timer = 0; // of the next question
let turn = 0; // of asking: what an earlier one brings is not wanted any more
let full = 0; // questions until events are tried again
let letters = { after: 0, next: null, seen: null };

const find = (id) => document.getElementById(id);

/* --- how things are said: all text goes through textContent --- */

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function make(tag, text, kind) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (kind) node.className = kind;
  return node;
}

function number(value) {
  if (value === null) return "–";
  return new Intl.NumberFormat(language, { maximumFractionDigits: value < 10 ? 1 : 0 }).format(value);
}

function duration(seconds) {
  if (seconds === null) return "–";
  const [d, h, min, s, ms, us] = words.units;
  const gap = language === "zh" ? "" : " ";
  if (seconds >= 86400) return `${Math.floor(seconds / 86400)}${gap}${d} ${Math.floor(seconds % 86400 / 3600)}${gap}${h}`;
  if (seconds >= 3600) return `${Math.floor(seconds / 3600)}${gap}${h} ${Math.floor(seconds % 3600 / 60)}${gap}${min}`;
  if (seconds >= 60) return `${Math.floor(seconds / 60)}${gap}${min} ${Math.floor(seconds % 60)}${gap}${s}`;
  const [value, unit] = seconds >= 1 || seconds === 0 ? [seconds, s]
    : seconds >= 1e-3 ? [seconds * 1e3, ms] : [seconds * 1e6, us];
  return `${Number(value.toPrecision(value >= 100 ? 3 : 2))}${gap}${unit}`;
}

function moment(seconds) {
  if (seconds === null) return "–";
  const date = new Date(seconds * 1000);
  const today = date.toDateString() === new Date().toDateString();
  return today ? date.toLocaleTimeString(language) : date.toLocaleString(language);
}

const stateName = (state) => words.states[state] || state;

function tell(text) {
  put(find("told"), text);
  find("told").hidden = false;
}

/* --- tables: rows are kept, so that nothing moves under a finger --- */

function fill(table, columns, rows, key) {
  if (table.dataset.language !== language) {
    const line = make("tr");
    for (const name of columns) line.append(make("th", words[name]));
    const head = make("thead");
    head.append(line);
    table.replaceChildren(head, make("tbody"));
    table.dataset.language = language;
    table.kept = new Map();
  }
  const body = table.tBodies[0], kept = new Map();
  rows.forEach((row, place) => {
    const name = key(row);
    let line = table.kept.get(name);
    if (!line) {
      line = make("tr");
      for (const column of columns) {
        const cell = make("td");
        if (words[column]) cell.dataset.name = words[column];
        line.append(cell);
      }
    }
    kept.set(name, line);
    if (body.rows[place] !== line) body.insertBefore(line, body.rows[place] || null);
  });
  while (body.rows.length > rows.length) body.lastChild.remove();
  table.kept = kept;
  put(table.caption || table.createCaption(), rows.length ? "" : words.none);
  table.tHead.hidden = !rows.length;
  return rows.map((row) => kept.get(key(row)).cells);
}

function cell(node, text, kind, below) {
  const all = `${text}\n${kind || ""}\n${below || ""}`;
  if (node.shown === all) return;
  node.shown = all;
  node.className = kind || "";
  node.replaceChildren(text);
  if (below) node.append(make("small", below));
}

function buttons(node, names, act) {
  const wanted = names.join();
  if (node.shown === wanted) return;
  node.shown = wanted;
  node.className = "wide";
  node.replaceChildren(...names.map((name) => {
    const button = make("button", words[name]);
    button.type = "button";
    button.dataset.act = name;
    button.onclick = () => act(name);
    return button;
  }));
}

/* --- the parts of the page --- */

function showMood() {
  const live = find("live");
  put(live, words[mood] || "");
  live.className = { live: "on", off: "off" }[mood] || "";
}

function showHead() {
  const { totals } = status, states = totals.states;
  const wanted = totals.accounts - states.disconnected;
  put(find("version"), `${status.version} · ${words.up} ${duration(status.time - status.began)}`);
  const badge = find("ready");
  put(badge, `${status.ready ? words.ready : words.notReady} · ${states.connected}/${wanted}`);
  badge.className = `badge ${status.ready ? "good" : "bad"}`;
  document.title = `${states.connected}/${wanted} · xyfast`;
  find("who").hidden = !status.actions;
}

function showTotals() {
  const { totals } = status;
  const errors = Object.entries({ ...totals.errors, ...status.errors });
  const wrong = errors.reduce((sum, [, count]) => sum + count, 0);
  const shown = [
    ["connected", `${totals.states.connected}/${totals.accounts}`],
    ["received", number(totals.received), `${number(totals.received_rate)}/${words.units[3]}`],
    ["handled", number(totals.handled), `${number(totals.handled_rate)}/${words.units[3]}`],
    ["sent", number(totals.sent), `${number(totals.sent_rate)}/${words.units[3]}`],
    ["inbox", number(totals.unhandled)],
    ["lag", duration(totals.lag)],
    ["letters", number(totals.dead_letters), "", totals.dead_letters ? "bad" : ""],
    ["openGaps", number(totals.open_gaps), "", totals.open_gaps ? "bad" : ""],
    ["running", number(status.running)],
    ["waiting", number(status.waiting)],
    ["unstored", number(status.uncommitted + status.unrecorded)],
    ["sending", number(totals.sending)],
    ["errors", number(wrong), errors.map((each) => each.join(" ")).join(", "), wrong ? "warn" : ""],
    ["blocked", duration(status.blocked_seconds), "", status.blocked ? "warn" : ""],
  ];
  const box = find("totals");
  while (box.children.length < shown.length) {
    const card = make("div");
    card.append(make("span"), make("b"));
    box.append(card);
  }
  shown.forEach(([name, value, more, kind], place) => {
    const [label, text] = box.children[place].children;
    put(label, more ? `${words[name]} · ${more}` : words[name]);
    put(text, value);
    text.className = kind || "";
    box.children[place].dataset.total = name;
  });
}

function showAccounts() {
  const columns = ["account", "state", "link", "trip", "rates", "inbox", "dead", "gap", "actions"];
  const may = status.actions && find("token").value !== "";
  put(find("matching"), words.matching(status.accounts.length, status.matching));
  const lines = fill(find("accounts"), columns, status.accounts, (one) => one.account);
  status.accounts.forEach((one, place) => {
    const cells = lines[place];
    const waits = one.wait === null ? "" : ` · ${words.wait(duration(one.wait))}`;
    const calm = one.state in { connected: 1, disconnected: 1 } || one.reason === null;
    cell(cells[0], one.account, "number", one.name);
    const state = one.state === "disconnected" ? words.paused : stateName(one.state);
    cell(cells[1], state, COLOURS[one.state], calm ? "" : one.reason + waits);
    cell(cells[2], duration(one.link_age), "number");
    cell(cells[3], duration(one.round_trip), "number");
    cell(cells[4], `${number(one.received_rate)} / ${number(one.handled_rate)}`, "number");
    cell(cells[5], number(one.unhandled), "number", one.lag >= 1 ? `${words.lag} ${duration(one.lag)}` : "");
    cell(cells[6], number(one.dead_letters), one.dead_letters ? "number bad" : "number");
    cell(cells[7], number(one.open_gaps), one.open_gaps ? "number bad" : "number");
    const paused = one.state === "disconnected" || one.state === "kicked";
    buttons(cells[8], !may ? [] : paused ? ["resume"] : ["pause", "replace"], (name) => {
      act(`accounts/${encodeURIComponent(one.account)}/${name}`, `${words[name]} ${one.account}`);
    });
  });
}

function showHops() {
  const box = find("hops"), all = { ...status.hops, heartbeat: status.heartbeat };
  for (const [name, latency] of Object.entries(all)) {
    let part = box.querySelector(`[data-hop="${name}"]`);
    if (!part) {
      part = make("div");
      part.dataset.hop = name;
      const axis = make("div", undefined, "axis");
      axis.append(make("span"), make("span"), make("span"));
      part.append(make("h3"), make("div", undefined, "quiet"), make("div", undefined, "bars"), axis);
      box.append(part);
    }
    const [title, text, bars, axis] = part.children, { recent, buckets, count } = latency;
    put(title, `${words.hop[name] || name} · ${number(count)}`);
    put(text, ["p50", "p90", "p99"].map((each) => `${each} ${duration(recent[each])}`).join(" · "));
    const bounds = [...buckets, [Infinity, count]];
    const counts = bounds.map(([, below], place) => below - (place ? bounds[place - 1][1] : 0));
    const most = Math.sqrt(Math.max(1, ...counts));
    while (bars.children.length < counts.length) bars.append(make("i"));
    counts.forEach((each, place) => {
      const bar = bars.children[place], bound = bounds[place][0];
      bar.style.height = `${each ? Math.max(4, 100 * Math.sqrt(each) / most) : 0}%`;
      bar.title = `${bound === Infinity ? `> ${duration(100)}` : `≤ ${duration(bound)}`}: ${number(each)}`;
    });
    [1e-5, 0.01, 100].forEach((bound, place) => put(axis.children[place], duration(bound)));
  }
}

function showGaps() {
  const rows = status.gaps.slice().reverse();
  const columns = ["time", "account", "from", "to", "reason"];
  const lines = fill(find("gaps"), columns, rows, (gap) => JSON.stringify(gap));
  rows.forEach((gap, place) => {
    const shown = [moment(gap.time), gap.account, moment(gap.start / 1000), moment(gap.end / 1000)];
    shown.forEach((text, at) => cell(lines[place][at], text, "number"));
    cell(lines[place][4], gap.reason, "wide");
  });
}

function showMoves() {
  const rows = status.moves.slice().reverse();
  const columns = ["time", "account", "from", "to", "reason"];
  const lines = fill(find("moves"), columns, rows, (move) => JSON.stringify(move));
  rows.forEach((move, place) => {
    const cells = lines[place];
    cell(cells[0], moment(move.time), "number");
    cell(cells[1], move.account, "number");
    cell(cells[2], stateName(move.old));
    cell(cells[3], stateName(move.new), COLOURS[move.new]);
    cell(cells[4], move.reason, "wide", move.wait === null ? "" : words.wait(duration(move.wait)));
  });
}

function showLetters(rows) {
  const may = status.actions && find("token").value !== "";
  const columns = ["time", "account", "conversation", "cause", "again", "reason", "actions"];
  const lines = fill(find("dead"), columns, rows, (letter) => letter.number);
  rows.forEach((letter, place) => {
    const cells = lines[place], when = letter.arrived === null ? null : letter.arrived / 1000;
    cell(cells[0], moment(when), "number");
    cell(cells[1], letter.account, "number");
    cell(cells[2], letter.conversation === null ? "–" : letter.conversation);
    cell(cells[3], words[letter.cause] || letter.cause);
    cell(cells[4], number(letter.redelivered + 1));
    cell(cells[5], letter.reason, "wide");
    buttons(cells[6], may ? ["replay"] : [], () => {
      act(`dead/${letter.number}/replay`, `${words.replay} ${letter.number}`);
    });
  });
  const more = find("more");
  more.hidden = letters.next === null && !letters.after;
  put(more, letters.next === null ? words.first : words.more);
}

function show() {
  document.documentElement.lang = language;
  for (const node of document.querySelectorAll("[data-say]")) put(node, words[node.dataset.say]);
  put(find("language"), words.other);
  showMood();
  find("query").placeholder = find("query").ariaLabel = words.query;
  find("token").placeholder = find("token").ariaLabel = words.token;
  if (!status) return;
  showHead();
  showTotals();
  showAccounts();
  showHops();
  showGaps();
  showMoves();
  loadLetters();
}

/* --- what comes from the client and goes to it --- */

async function ask(path, options) {
  const response = await fetch(path, options);
  const found = await response.json();
  if (!response.ok) throw new Error(found.error);
  return found;
}

// The store is asked only when something has changed.
async function loadLetters() {
  const { totals, dead } = status;
  const seen = JSON.stringify([totals.dead_letters, dead.slice(-1), letters.after]);
  if (letters.seen !== seen) {
    letters.seen = seen;
    try {
      const found = await ask(`dead.json?after=${letters.after}`);
      if (letters.seen !== seen) return; // something else was asked for meanwhile
      letters.rows = found.letters;
      letters.next = found.next;
    } catch {
      if (letters.seen === seen) letters.seen = null;
    }
  }
  if (letters.rows) showLetters(letters.rows);
}

function take(text) {
  status = typeof text === "string" ? JSON.parse(text) : text;
  show();
}

function mark(kind) {
  mood = kind;
  showMood();
}

const queried = () => `?query=${encodeURIComponent(find("query").value)}`;

function stop() {
  turn += 1;
  clearTimeout(timer);
  if (source) source.close();
  source = null;
}

function watch() {
  stop();
  const mine = source = new EventSource(`events${queried()}`);
  let heard = false;
  mine.onmessage = (event) => {
    heard = true;
    mark("live");
    take(event.data);
  };
  mine.onerror = () => {
    if (source !== mine) return;
    stop();
    full = heard ? 0 : 10; // where there is no room for us, not at once again
    poll();
  };
}

async function poll() {
  const mine = turn, found = await ask(`status.json${queried()}`).catch(() => null);
  if (mine !== turn) return; // something else was asked for meanwhile, or nobody looks
  full = found ? full - 1 : 0;
  timer = setTimeout(full < 0 ? watch : poll, SPEED);
  mark(found ? "polling" : "off");
  if (found) take(found);
}

async function act(path, what) {
  try {
    const headers = { Authorization: `Bearer ${find("token").value}` };
    await ask(path, { method: "POST", headers });
    tell(words.done(what));
    letters.seen = null;
  } catch (error) {
    tell(words.refused(error.message));
  }
}

find("language").onclick = () => {
  language = language === "en" ? "zh" : "en";
  words = WORDS[language];
  show();
};
find("query").oninput = () => {
  stop();
  timer = setTimeout(watch, 300);
};
find("token").oninput = show;
find("who").onsubmit = (event) => event.preventDefault();
find("more").onclick = () => {
  letters.after = letters.next || 0;
  loadLetters();
};
document.onvisibilitychange = () => (document.hidden ? stop() : watch());
show();
if (!document.hidden) watch();
