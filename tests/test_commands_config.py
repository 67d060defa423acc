"""``xyfast config`` on real files, and as documented."""

from __future__ import annotations

import json
import re
import shlex
import stat
from pathlib import Path
from typing import Any

import pytest

from inboxes import Run
from stores import ME
from visits import TOKEN
from xyfast import Config, ConfigError, Retention, Secrets, Settings
from xyfast.shown import columns
from xyfast.tables import read_toml

ROOT = Path(__file__).parent.parent
COOKIES = "; ".join([f"unb={ME}", *(f"{name}=a" for name in ("cookie2", "sgcookie"))])
ALL_COOKIES = f"{COOKIES}; _m_h5_tk=a_1; _m_h5_tk_enc=a"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str, name: str = "xyfast.toml", mode: int = 0o600) -> Path:
    path = Path(name)
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return path


def shown(run: Run, *options: object) -> dict[str, tuple[Any, str]]:
    result = run("config", "show", "--json", *options)
    assert (result.code, result.err) == (0, "")
    return {each["name"]: (each["value"], each["from"]) for each in result.objects}


# --- show -------------------------------------------------------------------------------


def test_each_value_is_shown_with_its_origin(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write("[settings]\nheartbeat = 7\ngrace = 8\n[retention]\nkeep = 9\n")
    monkeypatch.setenv("XYFAST_GRACE", "3")
    values = shown(run)
    kinds = (Secrets, Settings, Retention)
    assert len(values) == 1 + sum(len(kind.__slots__) for kind in kinds)
    assert values["settings.heartbeat"] == (7, "xyfast.toml: `settings.heartbeat`")
    assert values["settings.grace"] == (3.0, "XYFAST_GRACE")
    assert values["retention.keep"] == (9, "xyfast.toml: `retention.keep`")
    assert values["settings.roots"] == (None, "default")
    assert values["store"] == ("xyfast.db", "default")
    text = run("config", "show").out
    assert re.search(r"^settings.grace +3.0 +XYFAST_GRACE$", text, re.MULTILINE)
    assert re.search(r"^settings.roots +- +default$", text, re.MULTILINE)
    assert "\x1b" not in text  # no terminal


def test_a_chinese_name_moves_no_column(run: Run) -> None:
    write(f'[[accounts]]\ncookies = "unb={ME}"\nname = "二手书店"\n')
    lines = run("config", "show").out.splitlines()
    ends = {columns(line[: line.rindex("xyfast.toml")]) for line in lines if "accounts[" in line}
    assert ends == {31 + 2 + 30 + 2}


@pytest.mark.parametrize(
    ("proxy", "expected"),
    [
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("socks5://user:synthetic-secret@h:1", "socks5://<secret>@h:1"),
        ("http://synthetic-secret%40x:synthetic-secret@[::1]:1/", "http://<secret>@[::1]:1"),
    ],
)
def test_no_secret_is_shown(proxy: str, expected: str, run: Run) -> None:
    write(
        f"""
        [settings]
        proxy = "{proxy}"
        status_token = "token://synthetic-secret"
        [[accounts]]
        cookies = "unb={ME}; a=synthetic-secret"
        device_id = "synthetic-secret"
        proxy = "{proxy}"
        name = "shop"
        [[accounts]]
        cookies_file = "a.cookies"
        proxy = "user:synthetic-secret@h:1"
        [[accounts]]
        cookies_env = "A"
        proxy = "direct"
        [[accounts]]
        cookies_env = "A"
        proxy = "http://h:1?login=synthetic-secret"
        """
    )
    values = shown(run)
    assert values["settings.proxy"][0] == values["accounts[1].proxy"][0] == expected
    assert values["settings.status_token"][0] == "<secret>"
    assert values["accounts[1].cookies"][0] == values["accounts[1].device_id"][0] == "<secret>"
    assert values["accounts[1].name"][0] == "shop"
    assert values["accounts[2].cookies_file"][0] == "a.cookies"
    assert values["accounts[2].proxy"][0] == "<secret>"
    assert values["accounts[3].proxy"][0] == "direct"
    assert values["accounts[4].proxy"][0] == "<secret>"
    assert "synthetic-secret" not in json.dumps(values) + run("config", "show").out


def test_a_cookie_in_place_of_a_name_is_not_shown(run: Run) -> None:
    write('[[accounts]]\ncookies_file = "cookie2=synthetic-secret"\n')
    for command in ("show", "check"):
        for result in (run("config", command), run("config", command, "--json")):
            assert "<secret>" in result.out
            assert "synthetic-secret" not in result.out + result.err


def test_a_wrong_file_is_exit_code_2_a_line_for_each_fault(run: Run) -> None:
    path = write("[settings]\nhartbeat = 1\ngrace = ''\n", "a.toml")
    for command in ("show", "check"):
        result = run("config", command, "--config", path)
        assert (result.code, result.out) == (2, "")
        assert result.err.splitlines() == [
            f"xyfast config {command}: a.toml: unknown key `settings.hartbeat`; did you mean "
            "`settings.heartbeat`?",
            f"xyfast config {command}: a.toml: `settings.grace` must be a number, not ''",
        ]


# --- check ------------------------------------------------------------------------------


def levels(run: Run, code: int) -> list[tuple[str, str]]:
    result = run("config", "check", "--json")
    assert (result.code, result.err) == (code, "")
    return [(each["about"], each["level"]) for each in result.objects]


def test_a_right_file_is_exit_code_0(run: Run) -> None:
    write(ALL_COOKIES, "me.cookies")
    write('[[accounts]]\ncookies_file = "me.cookies"\nname = "shop"\n')
    assert levels(run, 0) == [("config", "ok"), ("accounts", "ok")]
    assert f"{ME} shop: has its cookies" in run("config", "check").out


def test_a_file_with_secrets_is_for_its_owner(run: Run) -> None:
    write(ALL_COOKIES, "me.cookies", 0o640)
    write('[[accounts]]\ncookies_file = "me.cookies"\n', mode=0o644)
    assert levels(run, 1) == [("config", "ok"), ("accounts", "warning"), ("accounts", "ok")]
    assert "chmod 600 me.cookies" in run("config", "check").out
    write(f'[[accounts]]\ncookies = "{ALL_COOKIES}"\n', mode=0o604)
    assert levels(run, 1) == [("config", "ok"), ("config", "warning"), ("accounts", "ok")]
    write('[[accounts]]\ncookies_file = "me.cookies"\ndevice_id = "a"\n', mode=0o604)
    assert levels(run, 1)[1] == ("config", "warning")
    for secret in ('proxy = "http://a:b@127.0.0.1:1"', f'status_token = "{TOKEN}"'):
        write(f"[settings]\n{secret}\n", mode=0o644)
        assert levels(run, 1)[1] == ("config", "warning")


def test_without_accounts_there_is_a_warning(run: Run) -> None:
    assert levels(run, 1) == [("config", "ok"), ("accounts", "warning")]


@pytest.mark.parametrize(
    ("cookies", "code", "words"),
    [
        (
            COOKIES,
            1,
            "the cookies have no `_m_h5_tk` (what signs calls), `_m_h5_tk_enc` (its pair)",
        ),
        (f"unb={ME}; _m_h5_tk=a_1", 2, "the cookies have no `cookie2`, the login: copy"),
        ("cookie2=a", 2, "the cookies have no `unb`"),
    ],
)
def test_cookies_that_are_missing_are_named(cookies: str, code: int, words: str, run: Run) -> None:
    write(f'[[accounts]]\ncookies = "{cookies}"\n')
    result = run("config", "check")
    assert result.code == code
    assert words in result.out


def test_a_folder_that_the_store_cannot_be_in_is_exit_code_2(run: Run) -> None:
    write(f'store = "none/x.db"\n[[accounts]]\ncookies = "{ALL_COOKIES}"\n', mode=0o600)
    assert levels(run, 2) == [("config", "ok"), ("accounts", "ok"), ("store", "failed")]
    assert "the folder none is not there" in run("config", "check").out


# --- init -------------------------------------------------------------------------------


def test_a_new_file_has_every_field_and_changes_nothing(run: Run) -> None:
    result = run("config", "init")
    assert (result.code, result.err) == (0, "")
    path = Path("xyfast.toml")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config = Config.load(path, environ={})
    assert (config.settings, config.retention, config.tables) == (Settings(), Retention(), ())
    assert (config.secrets, config.origins) == (Secrets(), {})
    text = path.read_text("utf-8")
    for name in (*Secrets.__slots__, *Settings.__slots__, *Retention.__slots__):
        assert re.search(rf"^## .+\n# {name} = .", text, re.MULTILINE), name


def test_the_lines_of_a_new_file_may_be_switched_on(run: Run) -> None:
    run("config", "init", "new.toml")
    text = Path("new.toml").read_text("utf-8")
    text = re.sub(r"(?m)^# (?=\w+ =|\[)", "", text)
    # A token that stands in every new file would be known to all: each makes one of their own.
    with pytest.raises(ConfigError, match=r"`settings.status_token`: .* make one: ") as caught:
        Config.load(write(text), environ={})
    assert len(str(caught.value).splitlines()) == 1
    path = write(text.replace('status_token = ""', f'status_token = "{TOKEN}"'))
    config = Config.load(path, environ={})
    assert config.settings == Settings(
        roots="company.pem",
        proxy="socks5://127.0.0.1:1080",
        status="127.0.0.1:8787",
        status_token=TOKEN,
    )
    assert config.retention == Retention()
    assert config.secrets == Secrets(store="encrypted", key_file="secrets.key")
    assert config.store == Path("xyfast.db")
    assert [*config.tables[0]] == ["cookies_file", "user_agent", "name"]


def test_nothing_is_written_over(run: Run) -> None:
    path = write("kept")
    result = run("config", "init")
    assert (result.code, result.out) == (1, "")
    assert "xyfast.toml is there already" in result.err
    assert path.read_text("utf-8") == "kept"
    Path("link.toml").symlink_to("elsewhere.toml")
    assert run("config", "init", "link.toml").code == 1
    assert not Path("elsewhere.toml").exists()
    assert run("config", "init", "none/x.toml").code == 2


# --- the page ---------------------------------------------------------------------------


def test_the_commands_of_the_page_print_what_it_shows(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs" / "howto" / "configure.md").read_text("utf-8")
    [toml] = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    write(toml)
    assert read_toml("xyfast.toml")["accounts"]
    write(ALL_COOKIES, "seller.cookies")
    monkeypatch.setenv("SECOND_SELLER", ALL_COOKIES.replace(ME, "9000000000002"))
    sessions = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    steps = [step for session in sessions for step in session.split("$ ")[1:]]
    assert len(steps) == 3
    for step in steps:
        line, expected = step.split("\n", 1)
        words = shlex.split(line)
        while "=" in words[0]:
            monkeypatch.setenv(*words.pop(0).split("=", 1))
        result = run(*words[1:])
        lines = expected.splitlines()
        if "..." in lines:  # not all of it is on the page
            assert set(lines) - {"..."} <= set(result.out.splitlines()), line
        else:
            assert result.out + result.err == expected, line
