"""Settings from files, variables and code, and all that a file may say."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores import ME, OTHER
from xyfast import Config, ConfigError, Retention, Secret, Secrets, Settings
from xyfast.account import format_cookies
from xyfast.tables import Layers, documented

FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
NUMBERS = [field.name for field in FIELDS.values() if field.type in ("int", "float")]
SECRET = "synthetic-secret"


def write(folder: Path, text: str, name: str = "xyfast.toml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def refused(path: Path | None = None, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        Config.load(path, environ=environ)
    assert caught.value.__cause__ is None
    return str(caught.value)


# --- layers -----------------------------------------------------------------------------


def test_what_comes_later_is_stronger(tmp_path: Path) -> None:
    path = write(tmp_path, "[settings]\nheartbeat = 1\ngrace = 2\nsend_burst = 3\n")
    environ = {"XYFAST_GRACE": "4", "XYFAST_SEND_BURST": "5"}
    settings = Settings.load(path, environ=environ, send_burst=6)
    assert (settings.heartbeat, settings.grace, settings.send_burst) == (1.0, 4.0, 6)
    assert settings == Settings(heartbeat=1, grace=4.0, send_burst=6)


def test_without_any_of_them_there_are_the_defaults() -> None:
    assert Settings.load(environ={"PATH": "/bin"}) == Settings()


@given(
    st.dictionaries(st.sampled_from(NUMBERS), st.integers(1, 30)),
    st.dictionaries(st.sampled_from(NUMBERS), st.integers(1, 30)),
    st.dictionaries(st.sampled_from(NUMBERS), st.integers(1, 30)),
)
def test_layers_are_laid_one_over_the_other(
    table: dict[str, int], environ: dict[str, int], code: dict[str, int]
) -> None:
    layers = Layers(Settings, "settings", "XYFAST_")
    layers.take_table("a.toml", table)
    variables = {f"XYFAST_{name.upper()}": str(value) for name, value in environ.items()}
    layers.take_variables(variables)
    layers.take_code(code)
    assert layers.make() == Settings(**{**table, **environ, **code})  # type: ignore[arg-type]
    for name, origin in layers.origins.items():
        last = "code" if name in code else "XYFAST_" if name in environ else "a.toml"
        assert origin.startswith(last)


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("YES", True), ("1", True), ("false", False), ("no", False), ("0", False)],
)
def test_a_variable_says_yes_or_no(text: str, value: bool) -> None:
    assert Settings.load(environ={"XYFAST_ALLOW_PLAIN": text}).allow_plain is value


def test_an_empty_variable_is_none_where_there_may_be_none(tmp_path: Path) -> None:
    path = write(tmp_path, '[settings]\nproxy = "http://127.0.0.1:1"\n')
    assert Settings.load(path, environ={"XYFAST_PROXY": ""}).proxy is None
    assert Settings.load(path, environ={}, proxy=None).proxy is None
    assert refused(XYFAST_GRACE="") == "XYFAST_GRACE must be a number, not ''"


# --- what is wrong ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[settings]\nhartbeat = 1", "unknown key `settings.hartbeat`; did you mean `settings."),
        ("[setings]", "unknown key `setings`; did you mean `settings`?"),
        ("[retention]\nkeeep = 1", "unknown key `retention.keeep`; did you mean `retention.keep`?"),
        ("[settings]\nheartbeat = '1'", "`settings.heartbeat` must be a number, not '1'"),
        ("[settings]\nheartbeat = true", "`settings.heartbeat` must be a number, not True"),
        ("[settings]\nmax_handlers = 1.0", "`settings.max_handlers` must be a whole number"),
        ("[settings]\nallow_plain = 1", "`settings.allow_plain` must be true or false"),
        ("[settings]\nurl = 5", "`settings.url` must be a string"),
        ("[settings]\nroots = 5", "`settings.roots` must be a string"),
        ("[settings]\nheartbeat = -1", "`settings.heartbeat`: Settings.heartbeat must be above"),
        ("[retention]\nmax_rows = 0", "`retention.max_rows`: Retention.max_rows must be above"),
        ("[settings]\nproxy = 'ftp://x:1'", "`settings.proxy`: proxy must start with http://"),
        ("[settings]\nurl = 'wss://[::1'", "`settings.url`: Settings.url must start with wss://"),
        (f"[settings]\ngrace = 1{'0' * 400}", "`settings.grace`: Settings.grace is too large"),
        (f"[settings]\ngrace = 1{'0' * 5000}", "is not TOML that can be read: too large"),
        (f"a = {'[' * 5000}", "is not TOML that can be read: too large or too deep"),
        ("settings = 1", "`settings` must be a table, [settings]"),
        ("accounts = [1]", "`accounts` must be tables, [[accounts]]"),
        ("[accounts]\ncookies = ''", "`accounts` must be tables, [[accounts]]"),
        ("[[accounts]]\ncookie = 'a'", "unknown key `accounts[1].cookie`; did you mean `accounts"),
        ("[[accounts]]\nname = 'a'", "`accounts[1].cookies` is missing"),
        ("[[accounts]]\ncookies = 1", "`accounts[1].cookies` must be a string"),
        (
            "[[accounts]]\ncookies_env = 'A'\ncookies_file = 'b'",
            "give one of `accounts[1].cookies_file` and `accounts[1].cookies_env`, not more",
        ),
        ("[[accounts]]\ncookies_env = 'XYFAST_A'", "`accounts[1].cookies_env` must not begin wi"),
        ('"a\\u001b" = 1', 'unknown key `"a\\u001b"`; known: `store`, `secrets`, `settings`, `ret'),
        ("[retention]\nkeep = '7d'", "keep` must be a number, not '7d'; durations are in seconds"),
        ("[settings]\nurl = [1]", "`settings.url` must be a string, not [1]"),
        (f"[settings]\ngrace = '{SECRET}'", "`settings.grace` must be a number, not a str"),
        ("heartbeat = 10", "unknown key `heartbeat`; it belongs under `[settings]`"),
        ("keep = 10", "unknown key `keep`; it belongs under `[retention]`"),
        ("cookies = 'a'", "unknown key `cookies`; it belongs under `[[accounts]]`"),
        ("proxy = 'a'", "unknown key `proxy`; it belongs under `[settings]`"),
        ("[settings]\nstore = 'a'", "unknown key `settings.store`; it belongs above the first"),
        ("[settings]\nxyz = 1", "unknown key `settings.xyz`; all that there are: the page referen"),
        (
            "[[accounts]]\ncookies = 'a'\nstore = 'a'",
            "unknown key `accounts[1].store`; it belongs above the first table",
        ),
        (
            "[[accounts]]\ncookies = 'a'\nxyz = 1",
            "unknown key `accounts[1].xyz`; known: `accounts[1].cookies`, `accounts[1].cookies_f",
        ),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_key(tmp_path: Path, text: str, complaint: str) -> None:
    path = write(tmp_path, text)
    words = refused(path)
    assert words.startswith(f"{path}: ")
    assert complaint in words


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("XYFAST_HARTBEAT", "1", "there is no variable `XYFAST_HARTBEAT`; did you mean `XYF"),
        ("XYFAST_STORES", "x.db", "did you mean `XYFAST_STORE`?"),
        ("XYFAST_heartbeat", "1", "there is no variable `XYFAST_heartbeat`; did you mean"),
        ("XYFAST_RETENTION_KEEEP", "1", "did you mean `XYFAST_RETENTION_KEEP`?"),
        ("XYFAST_HEARTBEAT", SECRET, "XYFAST_HEARTBEAT must be a number"),
        ("XYFAST_MAX_HANDLERS", "1.5", "XYFAST_MAX_HANDLERS must be a whole number"),
        ("XYFAST_ALLOW_PLAIN", "maybe", "XYFAST_ALLOW_PLAIN must be true or false"),
        ("XYFAST_HEARTBEAT", "nan", "XYFAST_HEARTBEAT: Settings.heartbeat must be above zero"),
        ("XYFAST_PROXY", f"http://a:{SECRET}@", "XYFAST_PROXY: proxy "),
        ("XYFAST_RETENTION_MAX_ROWS", "-1", "XYFAST_RETENTION_MAX_ROWS: Retention.max_rows must"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, value: str, complaint: str) -> None:
    words = refused(**{variable: value})
    assert complaint in words
    assert SECRET not in words


def test_what_code_says_is_checked_too() -> None:
    for values, complaint in [
        ({"hartbeat": 1}, "unknown setting `hartbeat`; did you mean `heartbeat`?"),
        ({"heartbeat": "1"}, "`heartbeat` must be a number"),
        ({"heartbeat": -1}, "code: Settings.heartbeat must be above zero"),
    ]:
        with pytest.raises(ConfigError, match=re.escape(complaint)):
            Settings.load(environ={}, **values)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "[settings]\na = 1\ngrace = ''\n[retention]\nb = 1\n[[accounts]]\n")
    words = refused(path, XYFAST_X="1")
    assert len(words.splitlines()) == 5


def test_two_values_that_do_not_fit_are_both_named(tmp_path: Path) -> None:
    path = write(tmp_path, "[settings]\nsecond_look = 190\ngrace = 1\n")
    words = refused(path, XYFAST_MARKER_WAIT="500")
    assert words.startswith(f"{path}: `settings.second_look`, XYFAST_MARKER_WAIT: Settings.mark")


@given(st.text(min_size=1), st.integers() | st.floats() | st.booleans() | st.text())
def test_any_table_gives_settings_or_a_config_error_that_names_the_key(
    key: str, value: object
) -> None:
    layers = Layers(Settings, "settings", "XYFAST_")
    layers.take_table("a.toml", {key: value})
    if key in FIELDS:
        return
    with pytest.raises(ConfigError) as caught:
        layers.make()
    [line] = str(caught.value).splitlines()
    found = re.fullmatch(
        r"a\.toml: unknown key `(.*)`; (?:did you mean `settings\.(\w+)`\?"
        r"|all that there are: the page reference/settings of the documentation)",
        line,
    )
    assert found is not None
    assert found[1] in (f"settings.{key}", json.dumps(f"settings.{key}"))
    assert found[2] in (*FIELDS, None)


@given(
    st.sampled_from(sorted(FIELDS)),
    st.integers() | st.floats() | st.booleans() | st.text() | st.lists(st.none()),
)
def test_any_value_gives_settings_or_a_config_error_that_names_the_field(
    key: str, value: object
) -> None:
    layers = Layers(Settings, "settings", "XYFAST_")
    layers.take_table("a.toml", {key: value})
    try:
        made = layers.make()
    except ConfigError as error:
        assert str(error).startswith(f"a.toml: `settings.{key}`")  # noqa: PT017
    else:
        assert getattr(made, key) == (f"{value}" if key == "roots" else value)
        assert isinstance(value, bool) == (FIELDS[key].type == "bool")


@given(st.sampled_from(sorted(FIELDS)), st.text())
def test_any_variable_gives_settings_or_a_config_error_that_names_it(key: str, text: str) -> None:
    variable = f"XYFAST_{key.upper()}"
    try:
        Settings.load(environ={variable: text})
    except ConfigError as error:
        assert str(error).startswith(variable)  # noqa: PT017


# --- the whole file ---------------------------------------------------------------------


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, 'store = "a/x.db"\n[settings]\nroots = "b/c.pem"\n')
    config = Config.load(path, environ={})
    assert config.store == tmp_path / "a/x.db"
    assert config.settings.roots == str(tmp_path / "b/c.pem")
    assert config.origins == {
        "store": f"{path}: `store`",
        "settings.roots": f"{path}: `settings.roots`",
    }


def test_the_file_is_named_by_a_variable_or_by_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Config.load(environ={}).path is None
    assert Config.load(environ={}).store == Path("xyfast.db")
    other = write(tmp_path, 'store = "other.db"', "other.toml")
    write(tmp_path, 'store = "here.db"')
    assert Config.load(environ={}).store == Path("here.db")
    named = Config.load(environ={"XYFAST_CONFIG": str(other)})
    assert (named.path, named.store) == (other, tmp_path / "other.db")
    assert Config.load(other, environ={"XYFAST_CONFIG": "none.toml"}).path == other
    assert Config.load(environ={"XYFAST_STORE": "v.db"}).store == Path("v.db")
    assert "none.toml: cannot be read: No such file" in refused(XYFAST_CONFIG="none.toml")


@pytest.mark.parametrize("target", ["elsewhere.toml", "xyfast.toml"])
def test_a_file_that_is_a_link_to_nothing_is_not_passed_over(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("xyfast.toml").symlink_to(target)
    assert "xyfast.toml: cannot be read: " in refused()


def test_what_an_editor_puts_in_front_of_a_file_is_no_part_of_it(tmp_path: Path) -> None:
    write(tmp_path, f"\ufeffunb={ME}; cookie2=1", "me.cookies")
    path = write(tmp_path, "\ufeffstore = 'x.db'\n[[accounts]]\ncookies_file = 'me.cookies'")
    config = Config.load(path, environ={})
    assert config.store == tmp_path / "x.db"
    assert [account.id for account in config.accounts()] == [ME]


def test_retention_has_its_section_and_variables(tmp_path: Path) -> None:
    path = write(tmp_path, "[retention]\nkeep = 5\nmax_rows = 7\n")
    environ = {"XYFAST_RETENTION_KEEP": "6"}
    assert Config.load(path, environ=environ).retention == Retention(keep=6.0, max_rows=7)
    assert Settings.load(path, environ=environ) == Settings()


def test_cookies_come_from_files_variables_or_the_file_itself(tmp_path: Path) -> None:
    write(tmp_path, f"unb={ME}; cookie2=1\n", "me.cookies")
    path = write(
        tmp_path,
        """
        [[accounts]]
        cookies_file = "me.cookies"
        name = "shop"
        [[accounts]]
        cookies_env = "COOKIES"
        [[accounts]]
        cookies = "unb=9000000000003; cookie2=1"
        proxy = "http://127.0.0.1:1"
        """,
    )
    config = Config.load(path, environ={"COOKIES": f"unb={OTHER}; cookie2=1"})
    first, second, third = config.accounts()
    assert (first.id, first.name, format_cookies(first.cookies)) == (
        ME,
        "shop",
        f"unb={ME}; cookie2=1",
    )
    assert (second.id, third.id, third.proxy) == (
        OTHER,
        "9000000000003",
        Secret("http://127.0.0.1:1"),
    )


def test_cookies_that_cannot_be_had_are_named_one_by_one(tmp_path: Path) -> None:
    write(tmp_path, f"a={SECRET}", "bad.cookies")
    (tmp_path / "latin.cookies").write_bytes(b"unb=\xff")
    path = write(
        tmp_path,
        f"""
        [[accounts]]
        cookies_file = "none.cookies"
        [[accounts]]
        cookies_file = "bad.cookies"
        [[accounts]]
        cookies_file = "latin.cookies"
        [[accounts]]
        cookies_env = "COOKIES"
        [[accounts]]
        cookies = "unb={ME}; cookie2=1"
        [[accounts]]
        cookies = "unb={ME}"
        [[accounts]]
        cookies = "unb={ME}; cookie2=1"
        """,
    )
    config = Config.load(path, environ={})
    with pytest.raises(ConfigError) as caught:
        config.accounts()
    lines = str(caught.value).splitlines()
    for line, words in zip(
        lines,
        [
            f"{path}: `{tmp_path / 'none.cookies'}`: cannot be read: No such file or directory",
            f"{path}: `{tmp_path / 'bad.cookies'}`: the cookies have no `unb`",
            f"{path}: `{tmp_path / 'latin.cookies'}`: is not UTF-8 text",
            f"{path}: variable `COOKIES`: is not set",
            f"{path}: `accounts[6].cookies`: the cookies have no `cookie2`, the login: copy",
            f"{path}: `accounts[5]` and `accounts[7]` are the same account, {ME}; leave one",
        ],
        strict=True,
    ):
        assert line.startswith(words)
    assert SECRET not in str(caught.value)


def test_a_config_shows_no_secrets(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f'[settings]\nproxy = "http://a:{SECRET}@127.0.0.1:1"\n'
        f'[[accounts]]\ncookies = "unb={ME}; a={SECRET}"\n',
    )
    assert SECRET not in repr(Config.load(path, environ={"COOKIES": SECRET}))


@pytest.mark.parametrize("kind", [Secrets, Settings, Retention])
def test_every_field_is_documented_for_the_file(kind: Any) -> None:
    found = list(documented(kind))
    assert [each.name for each in found] == [field.name for field in dataclasses.fields(kind)]
    for each in found:
        assert each.meaning
        assert (each.default is None) == (each.example is not None)


def test_every_variable_that_the_sources_name_is_known(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent
    files = [*root.glob("python/**/*.py"), *root.glob("src/**/*.rs")]
    names = set(re.findall(r"\bXYFAST_\w*[A-Z]\b", "".join(f.read_text("utf-8") for f in files)))
    assert {"XYFAST_SECRETS_KEY", "XYFAST_SIMD", "XYFAST_HEARTBEAT"} <= names
    empty = tmp_path / "empty.toml"
    empty.write_text("", "utf-8")
    for name in names:
        said = ""
        try:
            Config.load(empty, environ={name: "1"})
        except ConfigError as error:  # no value that it may have
            said = str(error)
        assert "there is no variable" not in said, name


@pytest.mark.parametrize("key", ["cookies_env", "cookies_file"])
@pytest.mark.parametrize("cookies", ["unb=9000000000001; a=canary", "unb=1;\\n a=canary"])
def test_cookies_in_place_of_a_name_are_refused_and_not_shown(
    tmp_path: Path, key: str, cookies: str
) -> None:
    path = tmp_path / "xyfast.toml"
    path.write_text(f'[[accounts]]\n{key} = "{cookies}"\n', "utf-8")
    with pytest.raises(ConfigError) as raised:
        Config.load(path, environ={})
    kind = "variable" if key == "cookies_env" else "file"
    assert f"`accounts[1].{key}` must be the name of a {kind}" in str(raised.value)
    assert "canary" not in str(raised.value)
