"""Requests: frames as the web page writes them, and what answers mean."""

from __future__ import annotations

import base64
import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xyfast import ConfigError, Secret, requests
from xyfast.requests import Mids, Uuids, Verdict, judge

VECTORS = json.loads((Path(__file__).parent / "vectors" / "pushes.json").read_text("utf-8"))
ANSWERS = {v["name"]: v for v in VECTORS["vectors"] if v["expect"]["class"] == "answer"}

MID = "4171767225600000 0"
OWN, PEER, CID = "9000000000001", "9000000000102", "70000000011"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def frame(text: str) -> dict[str, Any]:
    """Parse a frame that must be compact UTF-8 JSON."""
    parsed: dict[str, Any] = json.loads(text)
    assert text == json.dumps(parsed, ensure_ascii=False, separators=(",", ":"))
    text.encode()
    return parsed


def test_registration_names_token_device_and_browser() -> None:
    ua = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/146.0.0.0 Safari/537.36"
    text = requests.registration(token="t%", device_id="D-1", user_agent=ua, mid=MID)
    assert frame(text) == {
        "lwp": "/reg",
        "headers": {
            "cache-header": "app-key token ua wv",
            "app-key": "444e9908a51d1cb236a27862abc769c9",
            "token": "t%",
            "ua": f"{ua} DingTalk(2.2.0) OS(Windows/10) Browser(Chrome/146.0.0.0)"
            " DingWeb/2.2.0 IMPaaS DingWeb/2.2.0",
            "dt": "j",
            "wv": "im:3,au:3,sy:6",
            "sync": "0,0;0;0;",
            "did": "D-1",
            "mid": MID,
        },
    }


@pytest.mark.parametrize(
    ("browser", "added"),
    [
        (
            "(Macintosh; Intel Mac OS X 10_15_7) Version/17.1 Safari/605.1",
            "Mac OS/10.15.7|Safari/17.1",
        ),
        (
            "(X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            "Linux/unknown|Firefox/128.0",
        ),
        (
            "(Windows NT 10.0) Chrome/146.0.0.0 Safari/537.36 Edg/146.0.0.0",
            "Windows/10|Edge/146.0.0.0",
        ),
        ("something else", "Windows/10|Chrome/146.0.0.0"),
    ],
)
def test_the_chat_library_adds_system_and_browser_to_the_user_agent(
    browser: str, added: str
) -> None:
    system, name = added.split("|")
    whole = requests.im_user_agent(browser)
    assert whole.startswith(f"{browser} DingTalk(2.2.0) OS({system}) Browser({name}) ")
    assert requests.im_user_agent(whole) == whole


def test_ack_diff_tells_the_stored_position() -> None:
    text = requests.ack_diff(pts=1767225600000000, now_ms=1767225600000, mid=MID)
    assert frame(text) == {
        "lwp": "/r/SyncStatus/ackDiff",
        "headers": {"mid": MID},
        "body": [
            {
                "pipeline": "sync",
                "tooLong2Tag": "PNM,1",
                "channel": "sync",
                "topic": "sync",
                "highPts": 0,
                "pts": 1767225600000000,
                "seq": 0,
                "timestamp": 1767225600000,
            }
        ],
    }


def test_a_state_goes_back_as_it_came() -> None:
    state = json.loads(ANSWERS["answer/state"]["frame"])["body"]
    text = requests.ack_diff_state(json.dumps(state), mid=MID)
    assert json.loads(text)["body"] == [state]
    odd = '{"pts": 1767225600000000, "rate":1.50e3,"name":"\\u5728","pts":1}'
    assert requests.ack_diff_state(odd, mid=MID).endswith(f',"body":[{odd}]}}')
    assert frame(requests.get_state(mid=MID)) == {
        "lwp": "/r/SyncStatus/getState",
        "headers": {"mid": MID},
        "body": [{"topic": "sync"}],
    }


def test_a_text_is_sent_as_the_web_page_sends_it() -> None:
    text = requests.send(
        requests.text_content("你好"),
        conversation_id=CID,
        peer_id=PEER,
        own_id=OWN,
        uuid="-17672256000001",
        mid=MID,
    )
    data = "eyJjb250ZW50VHlwZSI6MSwidGV4dCI6eyJ0ZXh0Ijoi5L2g5aW9In19"
    assert frame(text) == {
        "lwp": "/r/MessageSend/sendByReceiverScope",
        "headers": {"mid": MID},
        "body": [
            {
                "uuid": "-17672256000001",
                "cid": "70000000011@goofish",
                "conversationType": 1,
                "content": {"contentType": 101, "custom": {"type": 1, "data": data}},
                "redPointPolicy": 0,
                "extension": {"extJson": "{}"},
                "ctx": {"appVersion": "1.0", "platform": "web"},
                "mtags": {},
                "msgReadStatusSetting": 1,
            },
            {"actualReceivers": ["9000000000102@goofish", "9000000000001@goofish"]},
        ],
    }


def content_of(content: str, conversation_id: str = CID) -> Any:
    text = requests.send(
        content, conversation_id=conversation_id, peer_id=PEER, own_id=OWN, uuid="-1", mid=MID
    )
    message = frame(text)["body"][0]
    assert message["cid"] == f"{CID}@goofish"
    return json.loads(base64.b64decode(message["content"]["custom"]["data"]))


@given(st.text(min_size=1))
def test_any_text_arrives_as_it_was_written(words: str) -> None:
    content = content_of(requests.text_content(words))
    assert content == {"contentType": 1, "text": {"text": words}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "text must be a str, not None"),
        (5, "text must be a str, not int"),
        (["a"], "text must be a str, not list"),
        ("", "text is empty"),
        ("a\ud800b", "text has a lone surrogate at 1"),
        ("贵" * 250_000, "text is too long: 750036 bytes of JSON, at most 750000"),
    ],
)
def test_a_text_that_cannot_be_sent_is_refused(text: Any, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        requests.text_content(text)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (("ftp://img.example.invalid/1.jpg", 3, 4), "url must start with https://"),
        (("/tmp/1.jpg", 3, 4), "url must start with https://"),
        ((None, 3, 4), "url must be a str, not None"),
        (("https://img.example.invalid/1.jpg", 0, 4), "above zero"),
        (("https://img.example.invalid/1.jpg", 3, True), "height must be a whole number"),
        (("https://img.example.invalid/1.jpg", "3", 4), "width must be a whole number"),
    ],
)
def test_a_picture_that_cannot_be_sent_is_refused(
    picture: tuple[Any, Any, Any], reason: str
) -> None:
    url, width, height = picture
    with pytest.raises(ConfigError, match=reason):
        requests.image_content(url, width=width, height=height)


def test_the_longest_content_fits_into_a_frame() -> None:
    text = requests.text_content("x" * (requests.LONGEST - 36))
    assert len(text) == requests.LONGEST
    ids = {"conversation_id": CID, "peer_id": PEER, "own_id": OWN}
    assert len(requests.send(text, **ids, uuid="-17672256000001", mid=MID)) < 1 << 20


def test_a_picture_is_sent_with_its_size() -> None:
    url = "https://img.example.invalid/1.jpg"
    content = requests.image_content(url, width=720, height=960)
    picture = {"type": 0, "url": url, "width": 720, "height": 960}
    expected = {"contentType": 2, "image": {"pics": [picture]}}
    assert content_of(content, f"{CID}@goofish") == expected


@pytest.mark.parametrize(
    ("text", "lwp", "body"),
    [
        (
            requests.list_conversations(mid=MID),
            "/r/Conversation/listNewestPagination",
            [9007199254740991, 50],
        ),
        (
            requests.history(CID, mid=MID, cursor=1767225600000, limit=30),
            "/r/MessageManager/listUserMessages",
            [f"{CID}@goofish", False, 1767225600000, 30, False],
        ),
        (requests.request("/r/Any/thing", [1], mid=MID), "/r/Any/thing", [1]),
    ],
)
def test_a_request_has_path_mid_and_body(text: str, lwp: str, body: object) -> None:
    assert frame(text) == {"lwp": lwp, "headers": {"mid": MID}, "body": body}


@pytest.mark.parametrize(
    "body", [[math.nan], {"a": -math.inf}, ["canary\ud800"], [{"canary"}], {("canary",): 1}]
)
def test_a_request_that_is_no_json_is_refused_and_not_shown(body: object) -> None:
    with pytest.raises(ConfigError, match="a request must be JSON") as caught:
        requests.request("/r/Any/thing", body, mid=MID)
    assert "canary" not in repr((caught.value, caught.value.__cause__))


def test_a_request_without_body_has_no_body_key() -> None:
    assert frame(requests.request("/!", None, mid=MID)) == {"lwp": "/!", "headers": {"mid": MID}}


@given(st.lists(st.integers(1767225600000, 1767225600010), max_size=60), st.randoms())
def test_no_two_mids_of_a_link_are_equal(times: list[int], dice: random.Random) -> None:
    mids = Mids(dice)
    keys = [requests.mid_key(mids.next(now)) for now in times]
    assert len(set(keys)) == len(keys)
    for key, now in zip(keys, times, strict=True):
        assert 0 <= int(key[:-13]) <= 999
        assert now <= int(key[-13:]) < now + 60 + 10


@given(st.lists(st.integers(1767225600000, 1767225600010), max_size=60))
def test_no_two_uuids_are_equal(times: list[int]) -> None:
    uuids = Uuids()
    made = [uuids.next(now) for now in times]
    assert len(set(made)) == len(made)


def test_uuids_follow_those_of_an_earlier_run() -> None:
    uuids = Uuids()
    for uuid in ("-17672256000001", "-17672255000001", "someone else's", "-1"):
        uuids.follow(uuid)
    assert uuids.next(1767225500000) == "-17672256000011"


def test_ids_look_like_those_of_the_web_page() -> None:
    uuids = Uuids()
    assert [uuids.next(1767225600000) for _ in range(2)] == ["-17672256000001", "-17672256000011"]
    mid = Mids(random.Random(1)).next(1767225600000)
    assert mid.endswith("1767225600000 0")
    assert requests.mid_key(mid) == mid[:-2]


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_is_judged_as_expected(name: str) -> None:
    answer, expected = json.loads(ANSWERS[name]["frame"]), ANSWERS[name]["expect"]
    verdict = judge(answer.get("code"), answer["headers"], answer.get("body"))
    assert (verdict.ok, verdict.error) == (expected["ok"], expected.get("error"))
    assert verdict.code == expected["code"]


@pytest.mark.parametrize(
    ("body", "cursor"),
    [
        ({"hasMore": 1, "nextCursor": 500}, 501),
        ({"hasMore": True, "nextCursor": 999}, 1000),
        ({"hasMore": 1, "nextCursor": 1000}, 1000),
        ({"hasMore": 1, "nextCursor": 2000}, 1000),
        ({"hasMore": 1, "nextCursor": -1}, 1000),
        ({"hasMore": 1, "nextCursor": "x"}, 1000),
        ({"hasMore": 1}, 1000),
        ({"hasMore": 0, "nextCursor": 500}, None),
        (None, None),
    ],
)
def test_the_page_behind_begins_with_the_millisecond_in_which_this_one_ends(
    body: object, cursor: int | None
) -> None:
    assert requests.older(body, 1000) == cursor


READERS = {
    "pts": requests.pts,
    "message_id": requests.message_id,
    "has_more": requests.has_more,
    "next_cursor": requests.next_cursor,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_is_read_as_expected(name: str) -> None:
    answer, expected = json.loads(ANSWERS[name]["frame"]), ANSWERS[name]["expect"]
    for field, reader in READERS.items():
        if field in expected:
            assert reader(answer["body"]) == expected[field]
    if "reg_uid" in expected:
        assert requests.reg_uid(answer["headers"]) == expected["reg_uid"]
    stamp = answer["headers"].get("server-timestamp")
    assert requests.server_time(answer["headers"]) == (None if stamp is None else int(stamp))


@pytest.mark.parametrize(
    ("code", "headers", "body", "error"),
    [
        ("200", {}, {}, None),
        (200, {}, None, None),
        (None, {}, [], None),
        (None, {}, None, "server"),
        (None, {}, {"reason": "不行"}, "rejected"),
        (200, {}, {"reason": "不行"}, "rejected"),
        (200, {}, {"reason": "闲鱼走神了，您稍后再试～"}, "server"),
        (200, {}, {"reason": "x", "code": 400600001}, "throttled"),
        (200, {}, {"reason": "x", "developerMessage": "400600001"}, "throttled"),
        (200, {}, {"reason": "Invalid Token"}, "token"),
        (400, {}, {"reason": "bad"}, "rejected"),
        (400, {"error": "token is not found"}, None, "token"),
        (401, {}, None, "token"),
        (401, {}, {"reason": "connect limit"}, "limit"),
        (400, {}, {"message": "too many sessions"}, "limit"),
        (400, {}, {"reason": "session remove"}, "limit"),
        (302, {}, None, "server"),
        (500, {}, {"reason": "不行"}, "server"),
        ("nonsense", {}, {}, "server"),
    ],
)
def test_refusals_are_told_apart(
    code: object, headers: object, body: object, error: object
) -> None:
    verdict = judge(code, headers, body)
    assert (verdict.ok, verdict.error) == (error is None, error)


def test_the_servers_words_are_kept_but_not_without_end() -> None:
    assert judge(400, {}, {"reason": "x" * 1000}) == Verdict(False, "rejected", "x" * 200, 400)


def test_a_sent_messages_id_is_found_in_both_known_places() -> None:
    assert requests.message_id({"1": "5000000000070.PNM"}) == "5000000000070.PNM"
    assert requests.message_id({"messageId": "a.PNM", "1": "b.PNM"}) == "a.PNM"


@given(JSON, JSON, JSON)
def test_any_answer_gets_a_verdict(code: object, headers: object, body: object) -> None:
    verdict = judge(code, headers, body)
    assert verdict.ok == (verdict.error is None)
    for reader in READERS.values():
        reader(body)
    requests.reg_uid(headers)
    requests.server_time(headers)


def test_the_servers_words_hold_no_secrets() -> None:
    token = Secret("synthetic-canary-token")
    long = f"{'x' * 190} {token.reveal()} is not found"  # which is cut within the token
    for words, shown in (
        (f"token {token.reveal()} is not found", "token <secret> is not found"),
        (long, f"{'x' * 190} <secret> "),
        ("cookie2=synthetic; is old", "cookie2=<secret>; is old"),
    ):
        assert judge(401, {}, {"reason": words}).reason == shown[:200]
