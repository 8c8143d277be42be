"""The one parser of TODO blocks: what it finds, what it refuses, and that emptying and filling lose nothing."""

import ast
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from code_analyze import blocks as blocks_module
from code_analyze.blocks import LINE_LENGTH, MarkerError, empty_blocks, fill_blocks, find_blocks, find_markers
from coursekit.errors import UNFILLED

PATH = "codes/VAE/model.py"

TWO_BLOCKS = '''\
"""A model."""

class VAE:
    def __init__(self, latent_dim):
        self.latent_dim = latent_dim
        # Block 1: the layers
        # TODO START
        self.layers = [
            latent_dim,
        ]
        # TODO END

    def reparameterize(self, mu, log_sigma):
        # Block 2: draw z so that gradients
        # reach mu and log_sigma
        # TODO START
        z = mu
        # TODO END
        return z
'''


def bodies_of(source):
    return [block.body for block in find_blocks(source, PATH)]


def in_function(*lines):
    return "def f():\n" + "".join(f"    {line}\n" for line in lines)


def refused(source, line, *words, function=find_blocks, path=PATH):
    with pytest.raises(MarkerError) as caught:
        function(source, path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def message_of(emptied):
    """The text of the only NotImplementedError in a file."""
    (call,) = [node.exc for node in ast.walk(ast.parse(emptied)) if isinstance(node, ast.Raise)]
    assert call.func.id == "NotImplementedError"
    return ast.literal_eval(call.args[0])


# --- finding ---


def test_a_block_knows_where_it_stands_and_what_it_is_for():
    first, second = find_blocks(TWO_BLOCKS, PATH)
    assert (first.number, first.title, first.start, first.end) == (1, "the layers", 7, 11)
    assert (second.number, second.title) == (2, "draw z so that gradients reach mu and log_sigma")
    assert first.indent == second.indent == " " * 8
    assert first.lines == ["        self.layers = [", "            latent_dim,", "        ]"]
    assert second.body == "        z = mu\n"


@pytest.mark.parametrize("start", ["# TODO START", "#TODO start", "#  todo   Start", "# ToDo\tSTART  "])
@pytest.mark.parametrize("end", ["# TODO END", "#todo end", "#  Todo   eND\t"])
def test_markers_in_any_letter_case_and_spacing(start, end):
    (block,) = find_blocks(in_function(start, "x = 1", end), PATH)
    assert block.lines == ["    x = 1"]


@pytest.mark.parametrize(
    "line",
    [
        "x = 1  # TODO START",
        "# TODO STARTED",
        "# TODOSTART",
        "# TODO START here",
        "# see TODO START",
        "TODO = 'START'",
        "# TODO: START",
        "# TODO \u017ftart",  # a long s is no s
    ],
)
def test_what_only_resembles_a_marker_is_none(line):
    assert find_markers(in_function(line)) == []


def test_markers_in_strings_do_not_count():
    source = in_function(
        '"""Text.', "# TODO START", '"""', "# TODO START", "x = '''", "# TODO END", "'''", "# TODO END"
    )
    (block,) = find_blocks(source, PATH)
    assert (block.start, block.end) == (5, 9)


def test_a_string_that_ends_in_front_of_a_comment_hides_it():
    assert find_markers('x = """\n# TODO START"""  # TODO START\n') == []


@pytest.mark.parametrize("broken", ["x = (", "x = 1 +", "'unclosed", "x = '''", "?", "if x:\n            y\n        z"])
def test_a_file_that_is_not_python_is_read_line_by_line(broken):
    source = in_function("# Block 1: x", "# TODO START", broken, "# TODO END")
    (block,) = find_blocks(source, PATH)
    assert block.title == "x"
    assert block.body == f"    {broken}\n"


@pytest.mark.parametrize("odd", ["\x0c", "\x0b", "\u2028", "\x85", "\x1c"])
def test_only_python_line_ends_end_a_line(odd):
    source = in_function(f"x = '{odd}'  # {odd}", "# TODO START", "y = 1", "# TODO END")
    (block,) = find_blocks(source, PATH)
    assert (block.start, block.end) == (3, 5)


def test_a_byte_order_mark_does_not_shift_or_break_anything():
    emptied = empty_blocks("\ufeff" + TWO_BLOCKS, PATH)
    assert emptied.startswith('\ufeff"""A model')
    assert fill_blocks(emptied, bodies_of(TWO_BLOCKS), PATH) == "\ufeff" + TWO_BLOCKS


def test_no_blocks():
    assert find_blocks("", PATH) == find_blocks("x = 1\n", PATH) == []
    assert empty_blocks("x = 1", PATH) == "x = 1"


# --- titles ---


def test_a_title_begins_at_its_number():
    source = in_function("# The decoder is shared.", "# block 1 :  Draw", "#", "#   z", "# TODO START", "# TODO END")
    assert find_blocks(source, PATH)[0].title == "Draw z"


def test_a_title_needs_no_number():
    source = in_function("# the layers", "# TODO START", "# TODO END")
    assert find_blocks(source, PATH)[0].title == "the layers"


@pytest.mark.parametrize("above", [["# far away", ""], ["x = 1  # beside code"], ["'''", "# in a string", "'''"]])
def test_only_a_comment_straight_above_is_a_title(above):
    assert find_blocks(in_function(*above, "# TODO START", "# TODO END"), PATH)[0].title == ""


def test_the_end_of_a_block_is_not_the_next_one_s_title():
    source = in_function("# one", "# TODO START", "# TODO END", "# TODO START", "# TODO END")
    assert [block.title for block in find_blocks(source, PATH)] == ["one", ""]


def test_a_wrong_number_is_named():
    refused(TWO_BLOCKS.replace("Block 2", "Block 3"), 14, "says block 3", "block 2 of the file")


# --- what doesn't add up ---


def test_an_end_without_a_start():
    with pytest.raises(MarkerError) as caught:
        find_blocks(in_function("x = 1", "# TODO END"), PATH)
    assert str(caught.value) == "codes/VAE/model.py:3: '# TODO END' without a '# TODO START' before it"


def test_two_ends():
    refused(in_function("# TODO START", "# TODO END", "# todo end"), 4, "without a '# TODO START'")


def test_a_start_without_an_end():
    refused(in_function("x = 1", "# TODO START", "y = 1"), 3, "without a '# TODO END'")


def test_nested_blocks():
    refused(in_function("# TODO START", "# TODO START", "# TODO END", "# TODO END"), 3, "starts at line 2")


def test_a_block_without_a_title_can_not_be_emptied():
    refused(in_function("# TODO START", "x = 1", "# TODO END"), 2, "block 1 has no title", function=empty_blocks)
    refused(in_function("# Block 1:", "# TODO START", "x = 1", "# TODO END"), 3, "no title", function=empty_blocks)


def test_a_file_that_is_not_python_can_not_be_emptied():
    refused(in_function("# t", "# TODO START", "x = 1", "# TODO END", "x = = 1"), 6, "Python", function=empty_blocks)
    refused("x = '\0'\n", 1, "Python", function=empty_blocks)


def test_a_file_that_is_python_only_without_its_bodies_can_be_emptied():
    assert message_of(empty_blocks(in_function("# t", "# TODO START", "x = = (", "# TODO END"), PATH))


def test_a_block_inside_a_statement_can_not_be_emptied():
    source = in_function("# a", "# TODO START", "# TODO END", "x = (", "# b", "# TODO START", "1", "# TODO END", ")")
    refused(source, 7, "emptying block 2", function=empty_blocks)


# --- emptying ---


def test_an_emptied_block_says_what_it_is_for():
    assert (
        empty_blocks(TWO_BLOCKS, "/home/me/reference_solution/VAE/model.py")
        == '''\
"""A model."""

class VAE:
    def __init__(self, latent_dim):
        self.latent_dim = latent_dim
        # Block 1: the layers
        # TODO START
        raise NotImplementedError("TODO: block 1 of VAE/model.py is not filled in yet: the layers")
        # TODO END

    def reparameterize(self, mu, log_sigma):
        # Block 2: draw z so that gradients
        # reach mu and log_sigma
        # TODO START
        raise NotImplementedError(
            "TODO: block 2 of VAE/model.py is not filled in yet: draw z so that gradients reach mu and log_sigma"
        )
        # TODO END
        return z
'''
    )


@pytest.mark.parametrize("path", ["VAE/model.py", "./VAE/model.py", "a\\VAE\\model.py", "/x/codes/VAE/model.py"])
def test_the_message_names_the_file_the_same_way_everywhere(path):
    emptied = empty_blocks(in_function("# t", "# TODO START", "# TODO END"), path)
    assert message_of(emptied) == "TODO: block 1 of VAE/model.py is not filled in yet: t"


def test_the_message_starts_as_the_kit_expects_it():
    assert blocks_module.UNFILLED == UNFILLED
    namespace = {}
    exec(empty_blocks(in_function("# t", "# TODO START", "return 1", "# TODO END"), PATH), namespace)
    with pytest.raises(NotImplementedError, match=f"^{UNFILLED}block 1 of VAE/model.py .*: t$"):
        namespace["f"]()


@pytest.mark.parametrize("line_end", ["\r\n", "\r", "\n"])
@pytest.mark.parametrize("indent", ["    ", "\t", "  "])
@pytest.mark.parametrize("title", ["t", "t " * 60])
def test_line_ends_and_indentation_stay(line_end, indent, title):
    title = title.strip()
    source = in_function(f"# {title}", "# TODO START", "x = 1", "# TODO END").replace("    ", indent)
    source = source.replace("\n", line_end).removesuffix(line_end)  # the last line without an end
    emptied = empty_blocks(source, PATH)
    assert message_of(emptied).endswith(f": {title}")
    before, after = source.split(f"{indent}x = 1{line_end}")
    assert emptied.startswith(before + indent + "raise ")
    assert emptied.endswith(line_end + after)
    assert set(emptied) & {"\r", "\n"} == set(line_end)
    assert fill_blocks(emptied, bodies_of(source), PATH) == source


def test_an_empty_body():
    source = in_function("# t", "# TODO START", "# TODO END", "return 1")
    emptied = empty_blocks(source, PATH)
    assert message_of(emptied)
    assert fill_blocks(emptied, [""], PATH) == source


def test_emptying_twice_is_emptying_once():
    emptied = empty_blocks(TWO_BLOCKS, PATH)
    assert empty_blocks(emptied, PATH) == emptied


def test_the_formatter_leaves_an_emptied_file_alone(tmp_path):
    titles = ["a" * length for length in range(1, 300)]  # around both places where a line gets too long
    titles += ["ab " * length + "end" for length in range(1, 90)]
    titles += [
        "潜在变量 " * 30,
        "潜" * 200,
        "say \"hi\" to 'me' \\mu_\\theta " * 9,
        "it's " * 40,
        '"x" ' * 40,
        "\\" * 150,
    ]
    for number, title in enumerate(titles):
        deep = "if x:\n    if y:\n        # TITLE\n        # TODO START\n        # TODO END\n        pass\n"
        emptied = empty_blocks(deep.replace("TITLE", title.strip()), PATH).replace(title.strip(), "t", 1)
        assert max(map(len, emptied.splitlines())) <= LINE_LENGTH
        (tmp_path / f"f{number}.py").write_text(emptied, encoding="utf-8", newline="")
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--no-cache", "--line-length", str(LINE_LENGTH)]
    ran = subprocess.run([*command, "--diff", str(tmp_path)], capture_output=True, encoding="utf-8", check=False)
    assert ran.returncode == 0, ran.stdout[:2000] + ran.stderr


# --- filling ---


def test_a_student_s_lines_go_into_a_pristine_scaffold():
    scaffold = empty_blocks(TWO_BLOCKS, PATH)
    filled = fill_blocks(scaffold, ["        self.layers = None", "        z = (\n"], PATH)
    assert bodies_of(filled) == ["        self.layers = None\n", "        z = (\n"]


def test_another_number_of_bodies():
    with pytest.raises(MarkerError, match=r"model.py:1: the file has 2 TODO blocks, and 1 bodies"):
        fill_blocks(TWO_BLOCKS, ["        pass\n"], PATH)


@pytest.mark.parametrize("body", ["# TODO END\n", "# TODO START\n", "pass\n# todo end\nx = 1\n#TODO START\n"])
def test_a_body_can_not_break_out_of_its_block(body):
    with pytest.raises(MarkerError, match=r"model.py:16: the lines for block 2 "):
        fill_blocks(TWO_BLOCKS, ["        pass\n", body], PATH)


# --- any file ---

LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), min_size=1, max_size=150)
STATEMENTS = st.sampled_from(
    [
        "x = 1",
        "return x",
        "# a comment",
        "",
        '"""Text.\n    # TODO END\n"""',
        "y = '# TODO START'  # TODO START",
        "if x:\n        y = 2\n        # TODO: think",
        "call(\n        # inside\n        1\n    )",
    ]
)


@st.composite
def files(draw):
    """A valid file with TODO blocks: its source, the titles, and the lines outside of the blocks' bodies."""
    indent, line_end = draw(st.sampled_from(["    ", "\t", "  "])), draw(LINE_ENDS)
    outside, source, titles = [], [], []

    def add(line, body=False):
        text = "".join(f"{piece}{line_end}" for piece in line.replace("    ", indent).split("\n"))
        source.append(text)
        if not body:
            outside.append(text)

    for function in range(draw(st.integers(0, 3))):
        add(f"def f{function}():")
        for _ in range(draw(st.integers(0, 3))):
            add("    " + draw(STATEMENTS))
            title = " ".join(draw(TEXT).split()).lstrip("#").strip()
            titles.append(title or "t")
            add("    ")
            prefix = draw(st.sampled_from(["Block {}: ", "block {} :"])).format(len(titles))
            add(f"    # {prefix}{titles[-1]}")
            add(f"    {draw(st.sampled_from(['# TODO START', '#todo start', '#  Todo  START ']))}")
            for _ in range(draw(st.integers(0, 3))):
                add("    " + draw(STATEMENTS), body=True)
            add(f"    {draw(st.sampled_from(['# TODO END', '#todo end', '# Todo END']))}")
        add("    return None")
    if draw(st.booleans()) and source:
        source[-1] = source[-1].removesuffix(line_end)
        outside[-1] = outside[-1].removesuffix(line_end)
    return "".join(source), titles, "".join(outside)


@settings(max_examples=200, deadline=None)
@given(files())
def test_whatever_is_emptied_can_be_filled_again(file):
    source, titles, outside = file
    blocks = find_blocks(source, PATH)
    assert [" ".join(block.title.split()) for block in blocks] == titles
    emptied = empty_blocks(source, PATH)
    assert fill_blocks(emptied, bodies_of(source), PATH) == source

    # Outside of the blocks nothing has changed, inside there is one statement each that names its block.
    assert fill_blocks(emptied, [""] * len(blocks), PATH) == outside
    raised = [node for node in ast.walk(ast.parse(emptied)) if isinstance(node, ast.Raise)]
    messages = [ast.literal_eval(node.exc.args[0]) for node in sorted(raised, key=lambda node: node.lineno)]
    expected = enumerate(titles, 1)
    assert messages == [f"TODO: block {n} of VAE/model.py is not filled in yet: {title}" for n, title in expected]


@given(
    st.lists(st.sampled_from(["# TODO START", "# todo end", "# t", "x = 1", "x = (", "'''", "  y", ""]), max_size=12)
)
def test_any_file_gives_blocks_or_names_a_line(lines):
    source = "\n".join(lines)
    try:
        blocks = find_blocks(source, PATH)
    except MarkerError as error:
        line = int(str(error).removeprefix(f"{PATH}:").split(":")[0])
        assert lines[line - 1].startswith("# ")
    else:
        assert fill_blocks(source, [block.body for block in blocks], PATH) == source
        assert len(find_markers(source)) == 2 * len(blocks)


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_gives_blocks_or_an_error_of_ours(text):
    source = f"# TODO START\n{text}\n# TODO END\n"
    try:
        find_blocks(source, PATH)
    except MarkerError as error:
        assert str(error).startswith(PATH)
