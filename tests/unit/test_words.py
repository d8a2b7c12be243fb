"""The prose of code and documentation: plain American English, no fragments.

Comments, docstrings and other strings of the code are checked, and the text of the pages outside
code blocks; identifiers are not.
"""

from __future__ import annotations

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "src/reinforcestrategycreator_pipeline"
CHECKED = (PACKAGE, "docs", "examples", "README.md", "CONTRIBUTING.md")
EXEMPT: tuple[str, ...] = ()
SUFFIXES = (".py", ".md", ".j2", ".js", ".css")

WORDS = {
    r"\w+, so that": "', so' for a result, 'so that' without a comma for a purpose",
    r"anew": "again",
    r"held against|hold \w+ against": "compared with",
    r"refus(e|es|ed|ing|al|als)": "rejects, rejected, raises",
    r"(is|are|was|were|be|been) (said|told)": "reported, stated",
    r"told apart|cannot be told": "distinguished",
    r"put(s|ting)? right": "repaired",
    r"looked at": "checked",
    r"(code|names?|names that came) from outside": "user code, the user's names",
    r"of (yours|ours)": "your, our; 'internal error' for a defect",
    r"by heart": "memorized",
    r"\w+'s business|business of": "task, or name who does it",
    r"whose account": "the account of",
    r"no plain": "not a plain",
    r"the very (same|one|numbers|code)": "exactly the same",
}
BRITISH = (
    r"(annual|capital|character|custom|discret|general|initial|material|maxim|memor|minim|modern"
    r"|normal|optim|organ|parallel|penal|prioritis|random|real|recogn|regular|serial|special"
    r"|stabil|standard|summar|symbol|synchron|token|util|vector|visual)is(e|es|ed|er|ers|ing|ation"
    r"|ations|able)",
    r"(prioriti|emphasi|quanti|factori)s(e|es|ed|ing|ation)",
    r"analys(e|ed|ing)",
    r"(behavi|col|fav|harb|hon|lab|neighb|rum|vap)our(s|ed|ing|ite|able|hood|ly)?",
    r"(cent|fib|met|theat)re(s|d)?",
    r"(cancel|label|model|signal|total|travel)l(ed|ing|er)",
    r"licence(s)?",
    r"(def|off|pret)ence",
    r"(grey|mould|plough|programme|sceptic|whilst|amongst)(s)?",
    r"(fulfil|enrol|skilful|wilful)",
)
RULES = [
    (re.compile(r"(?i)(?<!\w)(" + phrase.replace(" ", r"\s+") + r")(?!\w)"), better)
    for phrase, better in {**WORDS, **dict.fromkeys(BRITISH, "American spelling")}.items()
]
KEYS = ("licence", "dqn/initialisation")
"""Strings that are keys of a file format or name a stream of random numbers, not prose."""

SUMMARY = re.compile(r"(What|Whose|Who|Where|How|Of|By)\b")
FRAGMENT = re.compile(r"(Of|Whose|Who|Where|By|See)\b")
ENTRIES = re.compile(
    r"^(?:Attributes|Other Parameters|Parameters)\n-+\n(.*?)(?=^\S[^\n]*\n-+\n|\Z)", re.M | re.S
)
FSTRING = getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)  # part of the string before 3.12


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of the comments and strings of Python code."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kept = token.type in (tokenize.COMMENT, tokenize.STRING, FSTRING)
        if kept and token.string.strip("\"'") not in KEYS:
            yield token.start[0], token.string


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of the prose of a file."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        yield from texts(source)
        return
    # A code block keeps its lines, for the numbers, without their text.
    yield (
        1,
        re.sub(
            r"^```.*?^```|`[^`\n]*`", lambda m: "\n" * m[0].count("\n"), source, flags=re.M | re.S
        ),
    )


def bad_words(found: Iterator[tuple[int, str]]) -> list[str]:
    return [
        f"{line + text.count(chr(10), 0, match.start())}: {match[0]!r}: better {rule}"
        for line, text in found
        for pattern, rule in RULES
        for match in pattern.finditer(text)
    ]


def bad_docstrings(source: str) -> list[str]:
    """Return summaries that are relative clauses, and parameters that are fragments."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        text = inspect.cleandoc(ast.get_docstring(node, clean=False) or "")
        line = getattr(node, "lineno", 1)
        if SUMMARY.match(text):
            found.append(f"{line}: {text.partition(chr(10))[0]!r}: a noun phrase or an imperative")
        for section in ENTRIES.findall(text):
            for entry in re.split(r"^(?=\S)", section, flags=re.M):
                head, _, body = entry.partition("\n")
                described = " ".join(body.split())
                if described and (len(described.split()) <= 2 or FRAGMENT.match(described)):
                    found.append(f"{line}: {head.strip()!r}: {described!r} is a fragment")
    return found


def checked() -> list[Path]:
    paths = [path for name in CHECKED for path in (ROOT / name, *(ROOT / name).rglob("*"))]
    exempt = [ROOT / name for name in EXEMPT]
    return [
        path
        for path in paths
        if path.is_file()
        and path.suffix in SUFFIXES
        and not any(path.is_relative_to(tree) for tree in exempt)
    ]


def test_no_foreign_phrase_and_no_british_spelling():
    found = [
        f"{path.relative_to(ROOT)}:{text}" for path in checked() for text in bad_words(prose(path))
    ]
    assert found == []


def test_docstrings_are_noun_phrases_or_imperatives_and_parameters_are_described():
    found = [
        f"{path.relative_to(ROOT)}:{text}"
        for path in checked()
        if path.suffix == ".py"
        for text in bad_docstrings(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_all_exempt_trees_exist():
    assert [name for name in EXEMPT if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    "text",
    [
        "it is small, so that it fits",
        "rows are computed anew",
        "it is held against benchmarks",
        "it refuses the file",
        "a damaged one is skipped, which is\nsaid",
        "volumes are not told apart",
        "a repeated row was put right",
        "None: not looked at",
        "code from outside raised",
        "a module of yours",
        "bars can be learned by heart",
        "that is the loader's business",
        "Whose account it is",
        "this loss is no plain mean",
        "the very numbers of the batch",
    ],
)
def test_a_planted_phrase_is_found(text):
    assert len(bad_words(iter([(1, text)]))) >= 1


def test_each_rule_has_a_planted_phrase():
    mark = next(m for m in test_a_planted_phrase_is_found.pytestmark if m.name == "parametrize")
    for pattern, _ in RULES[: len(WORDS)]:
        assert any(pattern.search(text) for text in mark.args[1]), pattern.pattern


@pytest.mark.parametrize(
    "word",
    [
        "annualised",
        "prioritised",
        "analysing",
        "neighbours",
        "centred",
        "labelled",
        "licence",
        "fulfil",
    ],
)
def test_planted_british_spelling_is_found_in_code_and_text(word, tmp_path):
    (tmp_path / "a.py").write_text(f'x = 1  # {word}\n\ny = f"""a\n{{x}} is {word}"""\n')
    (tmp_path / "a.md").write_text(f"# A\n\n```python\n{word}\n```\n`{word}` and {word}\n")
    assert [text.split(":")[0] for text in bad_words(prose(tmp_path / "a.py"))] == ["1", "4"]
    assert [text.split(":")[0] for text in bad_words(prose(tmp_path / "a.md"))] == ["6"]


def test_identifiers_and_keys_are_not_prose(tmp_path):
    path = tmp_path / "a.py"
    path.write_text(
        'licence = found["licence"]\ndef refused(colour): return "exercise otherwise"\n'
    )
    assert bad_words(prose(path)) == []


DOCUMENTED = '''
def f(x, y):
    """{summary}

    Parameters
    ----------
    x : float
        {entry}
    y : float
        Price per share, > 0.

    Returns
    -------
    float
        Of both.
    """
'''


@pytest.mark.parametrize(
    ("summary", "entry", "rule"),
    [
        ("What it is.", "Price per share, > 0.", "'What it is.': a noun phrase or an imperative"),
        ("Whose it is.", "Price per share, > 0.", "a noun phrase or an imperative"),
        ("Of the draws.", "Price per share, > 0.", "a noun phrase or an imperative"),
        ("Return the sum.", "Finite values.", "'x : float': 'Finite values.' is a fragment"),
        ("Return the sum.", "Of trading and carrying.", "is a fragment"),
        ("Return the sum.", "Whose context this is.", "is a fragment"),
        ("Return the sum.", "Who decides about it.", "is a fragment"),
        ("Return the sum.", "Where the data come from.", "is a fragment"),
        ("Return the sum.", "By symbol, in order.", "is a fragment"),
        ("Return the sum.", "See the other one.", "is a fragment"),
    ],
)
def test_a_planted_fragment_is_found(summary, entry, rule):
    found = bad_docstrings(DOCUMENTED.format(summary=summary, entry=entry))
    assert len(found) == 1
    assert found[0].startswith("2: ")
    assert rule in found[0]


def test_a_good_docstring_is_accepted():
    good = DOCUMENTED.format(summary="Return the sum.", entry="Price per share, > 0.")
    assert bad_docstrings(good) == []
