"""The deployment bundle: what validates, what it gives, and every attack with its verdict."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from torch import nn

from zeroproofml.report import bundle as bundle_module
from zeroproofml.report._fs import hooked
from zeroproofml.report.bundle import (
    Bundle,
    BundleInvalid,
    RuntimeMissing,
    load_bundle,
    replay,
    validate_bundle,
)
from zeroproofml.report.cli import app
from zeroproofml.report.console import run_app
from zeroproofml.report.contract.bundle import BundleValidation
from zeroproofml.report.contract.strict_json import dump
from zeroproofml.report.errors import FileInvalid, UsageError
from zeroproofml.report.figures.bundle import CLASSES, bundle_reference
from zeroproofml.report.figures.sheet import sheet
from zeroproofml.torch import InferenceConfig, export_bundle

HOSTILE = "<script>alert(1)</script>|`x`[a](javascript:1)![i](http://e)@me {{7*7}} http://e"


class Pair(nn.Module):
    def forward(self, x):
        return x[:, :1], x[:, 1:]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    rows = torch.tensor([[1, 4], [1, 0.1], [1, 1e-3], [1, 0], [torch.inf, 0]])
    config = InferenceConfig(tau_infer=1e-2, tau_train=0.5)
    path, digest = export_bundle(
        Pair(),
        rows,
        tmp_path_factory.mktemp("pristine") / "bundle",
        config=config,
        ids={"preprocessing_id": HOSTILE},
    )
    return SimpleNamespace(path=path, digest=digest)


@pytest.fixture
def bundle(pristine, tmp_path):
    """A copy to break."""
    return shutil.copytree(pristine.path, tmp_path / "bundle")


@pytest.fixture
def program(capsys):
    def run(*arguments):
        code = run_app(app, "zpml-report", [str(a) for a in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out.splitlines(), captured.err.splitlines()

    return run


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def metadata_of(path):
    return json.loads((path / "metadata.json").read_bytes())


def redo(path, metadata=None):
    """Every digest again, as an attacker would: entries, metadata, SHA256SUMS."""
    metadata = metadata or metadata_of(path)
    for entry in metadata["files"]:
        data = (path / entry["path"]).read_bytes()
        entry["size"], entry["sha256"] = len(data), sha(data)
    (path / "metadata.json").write_bytes(dump(metadata))
    files = sorted(p for p in path.rglob("*") if p.is_file() and p.name != "SHA256SUMS")
    rows = [(p.relative_to(path).as_posix(), sha(p.read_bytes())[7:]) for p in files]
    (path / "SHA256SUMS").write_text("".join(f"{d}  {name}\n" for name, d in sorted(rows)))


def codes(path, expect=None):
    return [(f.code, f.path) for f in validate_bundle(path, expect).findings]


def edit_model(path, change):
    made = onnx.load(path / "model.onnx")
    change(made)
    (path / "model.onnx").write_bytes(made.SerializeToString())
    redo(path)


def edit_metadata(path, change):
    made = metadata_of(path)
    change(made)
    redo(path, made)


# --- what holds -----------------------------------------------------------------------------------


def test_an_exported_bundle_validates_loads_and_replays(pristine):
    seen = validate_bundle(pristine.path, pristine.digest)
    assert seen.findings == []
    assert [c.verdict for c in seen.checks] == ["passed"] * 9
    made = load_bundle(pristine.path, pristine.digest)
    assert made.digest == pristine.digest == sha((pristine.path / "metadata.json").read_bytes())
    found = replay(made)
    assert (found.mask_differences, found.largest_ulp) == (0, 0)
    assert min(made.metadata.reference.lanes.plain().values()) > 0


def test_without_expect_the_origin_is_open(pristine):
    origin = {c.name: c for c in validate_bundle(pristine.path).checks}["origin"]
    assert (origin.verdict, origin.text) == ("not run", "self-consistent, origin not pinned")


def test_run_returns_the_six_arrays_by_name(pristine):
    made = load_bundle(pristine.path)
    found = made.run({"input_0": np.array([[1, 4], [1, 0], [np.nan, 1]], np.float32)})
    assert found.decoded.tolist()[0] == [0.25]
    assert found.bottom_mask.ravel().tolist() == [False, True, True]
    assert found.bottom_provenance.ravel().tolist() == [0, 2, 1]
    assert made.run({"input_0": np.zeros((0, 2), np.float32)}).decoded.shape == (0, 1)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "the model has"),
        ({"x": np.zeros((1, 2), np.float32)}, "the model has"),
        ({"input_0": np.zeros((1, 2))}, "takes float32"),
        ({"input_0": np.zeros((1, 3), np.float32)}, "has shape"),
        ({"input_0": np.zeros(2, np.float32)}, "has shape"),
    ],
)
def test_run_checks_names_dtypes_and_shapes(pristine, inputs, words):
    with pytest.raises(UsageError, match=words):
        load_bundle(pristine.path).run(inputs)


def test_a_bundle_needs_neither_torch_nor_onnx(pristine):
    code = (
        "import sys; sys.modules['torch'] = sys.modules['onnx'] = None\n"
        "from zeroproofml.report.bundle import load_bundle\n"
        f"print(load_bundle({str(pristine.path)!r}).digest)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == pristine.digest


def test_without_onnxruntime_it_loads_and_says_what_is_missing(pristine, program, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeMissing, match="pip install onnxruntime"):
        load_bundle(pristine.path).runtime()
    out = pristine.path.parent / "without"
    code, _, err = program("bundle", pristine.path, "--out", out)
    assert (code, err) == (0, [])
    text = (out / "VALIDATION_REPORT.md").read_text()
    assert "not replayed: onnxruntime is not installed" in text


# --- the command ----------------------------------------------------------------------------------


def test_the_command_writes_beside_the_bundle_never_inside(bundle, program, pristine):
    before = {p: p.read_bytes() for p in bundle.rglob("*") if p.is_file()}
    code, out, err = program("bundle", bundle, "--html-report", "--expect", pristine.digest)
    made = bundle.parent / "bundle_report"
    assert (code, err) == (0, [])
    assert out[-1] == f"valid, {pristine.digest}, origin pinned by the expected digest"
    assert {p.relative_to(made).as_posix() for p in made.rglob("*") if p.is_file()} == {
        "VALIDATION_REPORT.md",
        "VALIDATION_REPORT.html",
        "validation.json",
        "figures/bundle_reference.svg",
        "DERIVED.json",
    }
    assert before == {p: p.read_bytes() for p in bundle.rglob("*") if p.is_file()}
    verdict = BundleValidation.from_bytes((made / "validation.json").read_bytes())
    assert verdict.ok
    assert verdict.pinned
    assert [c.verdict for c in verdict.checks] == ["passed"] * 10
    again = {p: p.read_bytes() for p in made.rglob("*") if p.is_file()}
    program("bundle", bundle, "--html-report", "--expect", pristine.digest)
    assert again == {p: p.read_bytes() for p in made.rglob("*") if p.is_file()}


def test_identifiers_cannot_act(bundle, program):
    assert program("bundle", bundle, "--html-report")[0] == 0
    made = bundle.parent / "bundle_report"
    markdown = (made / "VALIDATION_REPORT.md").read_text()
    html = (made / "VALIDATION_REPORT.html").read_text()
    assert "<script" not in markdown + html
    assert "](javascript" not in markdown
    assert "http://e" not in markdown
    assert "&#60;script&#62;" in markdown, "shown, not lost"


def test_a_broken_bundle_gets_its_page_with_a_stop_banner(bundle, program):
    (bundle / "model.onnx").write_bytes(b"broken")
    code, out, err = program("bundle", bundle, "--html-report")
    assert code == 5
    assert out[-1].startswith("invalid, sha256:")
    assert len(err) == 1
    assert "model.onnx: has 6 bytes" in err[0]
    text = (bundle.parent / "bundle_report/VALIDATION_REPORT.md").read_text()
    assert text.startswith("# INVALID: Deployment bundle")
    assert "not replayed: the bundle does not verify" in text


def test_metadata_that_cannot_be_parsed_give_no_page(bundle, program):
    (bundle / "metadata.json").write_bytes(b"{")
    code, out, err = program("bundle", bundle)
    assert (code, out) == (5, [])
    assert any("metadata.json: " in line for line in err)
    assert not (bundle.parent / "bundle_report").exists()


@pytest.mark.parametrize("where", ["inside", "itself", "above"])
def test_out_may_not_touch_the_bundle(bundle, program, where):
    out = {"inside": bundle / "report", "itself": bundle, "above": bundle.parent}[where]
    code, _, err = program("bundle", bundle, "--out", out)
    assert code == 2
    assert err[0].startswith("--out: ")


def test_usage_mistakes(bundle, program, tmp_path):
    (tmp_path / "file").write_text("x")
    for arguments in (["no/such"], [tmp_path / "file"], [bundle, "--expect", "abc"]):
        code, out, err = program("bundle", *arguments)
        assert (code, out, len(err)) == (2, [], 1)


def test_from_inside_the_bundle_the_page_still_lies_beside(bundle, program, monkeypatch):
    monkeypatch.chdir(bundle)
    assert program("bundle", ".")[0] == 0
    assert (bundle.parent / "bundle_report/VALIDATION_REPORT.md").exists()


def test_a_replay_that_differs_fails(bundle, program):
    """All digests redone: the stored masks obey the invariants, but no runtime gives them."""
    arrays = [np.load(bundle / f"reference/output_{k}.npy") for k in range(6)]
    lane = np.flatnonzero((arrays[5] == 0) & ~arrays[2])[0]
    arrays[0].ravel()[lane] = np.nan
    for k in (1, 4):
        arrays[k].ravel()[lane] = True
    arrays[5].ravel()[lane] = 2
    for k, array in enumerate(arrays):
        np.save(bundle / f"reference/output_{k}.npy", array)

    def lanes(made):
        made["reference"]["lanes"]["finite"] -= 1
        made["reference"]["lanes"]["semantic"] += 1

    edit_metadata(bundle, lanes)
    assert codes(bundle) == []
    code, _, err = program("bundle", bundle)
    assert code == 5
    assert "masks differ on 1 lanes" in err[0]


@given(
    st.lists(st.sampled_from(CLASSES), min_size=1, max_size=3000),
    st.floats(-1e30, 1e30, allow_nan=False),
)
@settings(max_examples=20)
def test_no_lane_of_the_figure_disappears(classes, value):
    kinds = np.array(classes)
    decoded = np.where(np.isin(kinds, ("finite", "gap")), value * np.arange(kinds.size), np.nan)
    masks = {name: kinds == name for name in CLASSES}
    figure = bundle_reference(decoded, masks)
    account = figure.plates[0].account
    told = {name: int(masks[name].sum()) for name in ("fault", "semantic", "both")}
    assert account.lanes == kinds.size
    assert dict(account.bottom) == {name: n for name, n in told.items() if n}
    assert account.drawn + account.reduced == int(np.isfinite(decoded).sum())
    assert account.drawn <= 2000
    assert len(sheet(figure)) < 400_000


# --- attacks --------------------------------------------------------------------------------------


def regions(data):
    return sorted({0, len(data) // 3, len(data) // 2, len(data) - 2, len(data) - 1})


def test_a_flipped_byte_anywhere_is_found(pristine, tmp_path):
    files = sorted(p.relative_to(pristine.path) for p in pristine.path.rglob("*") if p.is_file())
    assert len(files) == 10
    for name in files:
        data = (pristine.path / name).read_bytes()
        for at in regions(data):
            path = shutil.copytree(pristine.path, tmp_path / "b", dirs_exist_ok=True)
            changed = bytearray(data)
            changed[at] ^= 0x11
            (path / name).write_bytes(changed)
            found = codes(path)
            assert found, (name, at)
            assert name.as_posix() in {where for _, where in found} or name.name == "metadata.json"
            with pytest.raises(BundleInvalid):
                load_bundle(path)


@pytest.mark.parametrize("name", ["model.onnx", "reference/input_0.npy", "reference/output_3.npy"])
def test_a_truncated_file_is_refused_by_size(bundle, name):
    data = (bundle / name).read_bytes()
    (bundle / name).write_bytes(data[:-1])
    assert codes(bundle) == [("size", name)] or ("size", name) in codes(bundle)


@pytest.mark.parametrize("name", ["model.onnx", "metadata.json", "SHA256SUMS"])
def test_a_missing_file_is_named(bundle, name):
    (bundle / name).unlink()
    assert ("missing", name) in codes(bundle)


@pytest.mark.parametrize(
    "name", ["weights.bin", "model.onnx.data", "reference/input_7.npy", "reference/x", ".hidden"]
)
def test_an_extra_file_is_refused(bundle, name):
    (bundle / name).write_bytes(b"0")
    assert codes(bundle) == [("unlisted", name)]


def weights(external=True):
    made = TensorProto(name="planted", data_type=TensorProto.FLOAT, dims=[4])
    if external:
        made.data_location = TensorProto.EXTERNAL
        made.external_data.add(key="location", value="weights.bin")
    return made


def at_top(made):
    made.graph.initializer.append(weights())


def in_subgraph(made):
    inner = helper.make_graph([], "inner", [], [], initializer=[weights()])
    made.graph.node.append(
        helper.make_node("If", ["bottom_mask"], ["o"], then_branch=inner, else_branch=inner)
    )


def in_function(made):
    node = helper.make_node("Constant", [], ["k"], value=weights())
    opset = helper.make_opsetid("", 18)
    made.functions.append(helper.make_function("", "F", ["a"], ["k"], [node], [opset]))


@pytest.mark.parametrize("place", [at_top, in_subgraph, in_function])
def test_external_data_is_refused_at_any_depth(bundle, place):
    edit_model(bundle, place)
    assert codes(bundle) == [("external_data", "model.onnx")]


def test_planted_weights_in_the_current_directory_are_never_read(bundle, tmp_path, monkeypatch):
    """ONNX Runtime would read them, even of a model given as bytes: so such a model never loads."""
    (tmp_path / "weights.bin").write_bytes(np.ones(4, np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    edit_model(bundle, at_top)
    with pytest.raises(BundleInvalid, match=r"."):
        load_bundle(bundle)


def custom(made):
    made.graph.node[0].domain = "evil.ops"


def foreign_opset(made):
    made.opset_import.append(helper.make_opsetid("evil.ops", 1))


def function(made):
    node = helper.make_node("Identity", ["a"], ["b"])
    opset = helper.make_opsetid("", 18)
    made.functions.append(helper.make_function("mine", "F", ["a"], ["b"], [node], [opset]))


@pytest.mark.parametrize("change", [custom, foreign_opset, function])
def test_operators_of_others_are_refused(bundle, change):
    edit_model(bundle, change)
    assert codes(bundle) == [("operator_domain", "model.onnx")]


def swapped(made):
    outputs = list(made.graph.output)
    del made.graph.output[:]
    made.graph.output.extend([outputs[0], outputs[2], outputs[1], *outputs[3:]])


def other_shape(made):
    made.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3


def other_dtype(made):
    made.graph.output[5].type.tensor_type.elem_type = TensorProto.INT32


def other_opset(made):
    made.opset_import[0].version = 17


def other_ir(made):
    made.ir_version += 1


def fixed_batch(made):
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


@pytest.mark.parametrize(
    "change", [swapped, other_shape, other_dtype, other_opset, other_ir, fixed_batch]
)
def test_a_model_that_says_otherwise_is_refused(bundle, change):
    edit_model(bundle, change)
    assert codes(bundle) == [("onnx_header", "model.onnx")]


def test_a_model_that_is_no_model_is_refused(bundle):
    (bundle / "model.onnx").write_bytes(b"\x3a\xff\xff\xff\xff\x0f")
    redo(bundle)
    assert codes(bundle) == [("onnx", "model.onnx")]


@pytest.mark.parametrize("version", [0, 2, "1", 1.0, True, None])
def test_schema_versions_are_exact(bundle, version):
    made = metadata_of(bundle)
    if version is None:
        del made["schema_version"]
    else:
        made["schema_version"] = version
    (bundle / "metadata.json").write_bytes(dump(made))
    wanted = "schema_newer" if version == 2 else "schema"
    assert codes(bundle)[0] == (wanted, "metadata.json")


def test_metadata_of_the_old_package_are_foreign(bundle):
    old = {"schema_version": 1, "format": "zeroproof-bundle", "tau_infer": 1e-6}
    (bundle / "metadata.json").write_bytes(dump(old))
    found = validate_bundle(bundle).findings[0]
    assert found.code == "schema_foreign"
    assert "0.6.1" in found.mend


def set_tau(made):
    made["decoding"]["tau_infer"] = 0.25
    made["decoding"]["tau_infer_effective"] = 0.25


def test_a_threshold_edited_alone_is_found_by_the_sums(bundle):
    made = metadata_of(bundle)
    set_tau(made)
    (bundle / "metadata.json").write_bytes(dump(made))
    assert set(codes(bundle)) == {("sums", "SHA256SUMS"), ("props", "model.onnx")}


def test_with_the_sums_redone_the_models_own_props_catch_it(bundle):
    edit_metadata(bundle, set_tau)
    assert codes(bundle) == [("props", "model.onnx")]


def test_with_the_props_redone_only_the_pinned_digest_catches_it(bundle, pristine):
    edit_metadata(bundle, set_tau)

    def props(made):
        for entry in made.metadata_props:
            if entry.key == "zeroproofml.tau_infer":
                entry.value = repr(0.25)

    edit_model(bundle, props)
    assert codes(bundle) == []
    assert codes(bundle, pristine.digest) == [("expect", ".")]


def test_an_effective_threshold_that_is_not_the_rounded_one_is_refused(bundle):
    edit_metadata(bundle, lambda made: made["decoding"].update(tau_infer_effective=0.01))
    assert ("thresholds", "metadata.json") in codes(bundle)


@pytest.mark.parametrize(
    "path",
    ["../metadata.json", "/etc/passwd", "reference\\input_0.npy", "a\0b", "model.ONNX", "a/../b"],
)
def test_paths_that_lead_elsewhere_are_refused(bundle, path):
    made = metadata_of(bundle)
    made["files"][0]["path"] = path
    (bundle / "metadata.json").write_bytes(dump(made))
    assert codes(bundle)[0] == ("schema", "metadata.json")


@pytest.mark.parametrize(
    "text",
    [
        b'{"schema_name": "zeroproofml.bundle", "schema_name": "zeroproofml.bundle"}',
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b"[" * 100 + b"]" * 100,
        b"\xff",
        b"\xef\xbb\xbf{}",
    ],
)
def test_json_that_is_not_strict_is_refused(bundle, text):
    (bundle / "metadata.json").write_bytes(text)
    assert codes(bundle)[0] == ("json_strict", "metadata.json")


def test_metadata_above_one_mebibyte_are_not_parsed(bundle):
    (bundle / "metadata.json").write_bytes(b" " * (2**20 + 1))
    assert codes(bundle)[0] == ("size", "metadata.json")


@pytest.mark.parametrize("form", ["indent", "newline", "order", "escape"])
def test_another_spelling_of_the_same_values_is_refused(bundle, form):
    made = metadata_of(bundle)
    made["contracts"]["preprocessing_id"] = "ä"
    text = {
        "indent": json.dumps(made, sort_keys=True, ensure_ascii=False) + "\n",
        "newline": json.dumps(made, sort_keys=True, indent=1, ensure_ascii=False),
        "order": json.dumps(dict(reversed(made.items())), indent=1, ensure_ascii=False) + "\n",
        "escape": json.dumps(made, sort_keys=True, indent=1) + "\n",
    }[form]
    (bundle / "metadata.json").write_text(text)
    assert codes(bundle)[0] == ("spelling", "metadata.json")


def test_unknown_keys_are_refused(bundle):
    edit_metadata(bundle, lambda made: made.update(extra=1))
    assert codes(bundle)[0] == ("schema", "metadata.json")


@pytest.mark.parametrize("name", ["model.onnx", "reference/input_0.npy", "metadata.json"])
@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_links_fifos_and_directories_are_no_files(bundle, tmp_path, name, kind):
    target = bundle / name
    kept = tmp_path / "kept"
    target.rename(kept)
    if kind == "link":
        target.symlink_to(kept)
    elif kind == "fifo":
        os.mkfifo(target)
    else:
        target.mkdir()
    assert ("path_unsafe", name) in codes(bundle)


def test_a_linked_directory_is_refused(bundle, tmp_path):
    (bundle / "reference").rename(tmp_path / "elsewhere")
    (bundle / "reference").symlink_to(tmp_path / "elsewhere")
    assert ("path_unsafe", "reference") in codes(bundle)
    (tmp_path / "link").symlink_to(bundle)
    with pytest.raises(FileInvalid, match="is a link, not a directory"):
        load_bundle(tmp_path / "link")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_a_sparse_model_of_three_gigabytes_is_refused_by_size_at_once(bundle):
    with (bundle / "model.onnx").open("r+b") as handle:
        handle.truncate(3 * 2**30)
    made = metadata_of(bundle)
    entry = next(e for e in made["files"] if e["path"] == "model.onnx")
    entry["size"] = 3 * 2**30
    (bundle / "metadata.json").write_bytes(dump(made))
    code = (
        "import re; from zeroproofml.report.bundle import validate_bundle\n"
        f"found = validate_bundle({str(bundle)!r}).findings\n"
        "peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]\n"
        "print([f.code for f in found if f.path == 'model.onnx'], peak)"
    )
    start = time.perf_counter()
    assert ("size", "model.onnx") in codes(bundle)
    assert time.perf_counter() - start < 1
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    listed, peak = done.stdout.rsplit(" ", 1)
    assert listed == "['size']"
    assert int(peak) < 100 * 1024


def test_a_crowded_directory_is_not_walked_to_its_end(bundle):
    for number in range(3000):
        (bundle / f"f{number}").touch()
    looked = []

    def watch(operation, path, action, arguments):
        looked.append(operation)
        return action(*arguments)

    start = time.perf_counter()
    with hooked(watch):
        found = codes(bundle)
    assert found[0] == ("entries", ".")
    assert len(looked) < 300
    assert time.perf_counter() - start < 5


def npy(header, body=b""):
    text = header.encode() + b" " * ((-len(header) - 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body


def pickled():
    out = io.BytesIO()
    np.save(out, np.array([{}], dtype=object), allow_pickle=True)
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        pickled(),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999, 2), }"),
        npy("{'descr': '<f4', 'fortran_order': True, 'shape': (16, 2), }", bytes(128)),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (16, 2), }", bytes(256)),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (15, 2), }", bytes(120)),
        npy("__import__('os').system('true')"),
        b"",
        b"PK\3\4",
    ],
)
def test_arrays_that_are_not_what_they_should_be_are_refused(bundle, data):
    (bundle / "reference/input_0.npy").write_bytes(data)
    redo(bundle)
    assert codes(bundle) == [("arrays", "reference/input_0.npy")]


@pytest.mark.parametrize(
    ("output", "change", "where"),
    [
        (5, lambda a: np.where(a == 2, 1, a), 5),
        (5, lambda a: np.where(a == 0, 4, a), 5),
        (1, lambda a: ~a, 1),
        (2, lambda a: np.ones_like(a), 2),
        (0, np.nan_to_num, 0),
        (0, lambda a: np.where(np.isfinite(a), np.float32(np.inf), a), 0),
    ],
)
def test_stored_outputs_obey_the_strict_invariants(bundle, output, change, where):
    path = bundle / f"reference/output_{output}.npy"
    np.save(path, change(np.load(path)).astype(np.load(path).dtype))
    redo(bundle)
    assert ("invariant", f"reference/output_{where}.npy") in codes(bundle)


def test_lanes_that_are_not_those_of_the_arrays_are_refused(bundle):
    edit_metadata(bundle, lambda made: made["reference"]["lanes"].update(gap=999))
    assert codes(bundle) == [("lanes", "metadata.json")]


def test_a_file_replaced_after_the_check_is_never_what_runs(bundle, pristine):
    made = load_bundle(bundle, pristine.digest)
    (bundle / "model.onnx").write_bytes(b"replaced")
    assert sha(made.model) == next(e.sha256 for e in made.metadata.files if e.path == "model.onnx")
    assert replay(made).mask_differences == 0


def test_the_bytes_that_are_hashed_are_the_bytes_that_load(bundle, pristine):
    """A model swapped on the disk right after it was read cannot enter: it is read once."""
    reads = []

    def swap(operation, path, action, arguments):
        result = action(*arguments)
        if operation == "open" and path == "model.onnx":
            reads.append(path)
        return result

    with hooked(swap):
        load_bundle(bundle, pristine.digest)
    assert reads == ["model.onnx"]


def test_no_way_leads_around_the_check(bundle):
    (bundle / "SHA256SUMS").write_text("")
    seen = validate_bundle(bundle)
    assert (seen.model, seen.inputs, seen.outputs) == (b"", {}, None)
    with pytest.raises(BundleInvalid) as caught:
        Bundle(seen)
    assert caught.value.exit_code == 5
    assert [f.code for f in caught.value.findings] == ["sums"]


def test_all_problems_are_reported_the_first_of_each_file(bundle):
    (bundle / "extra").touch()
    (bundle / "reference/input_0.npy").write_bytes(b"x")
    (bundle / "SHA256SUMS").write_text("")
    found = codes(bundle)
    assert {code for code, _ in found} == {"unlisted", "size", "sums"}
    assert len({path for _, path in found}) == len(found)


def test_the_room_imports_numpy_pydantic_and_the_standard_library_only():
    code = (
        f"import sys, {bundle_module.__name__}\n"
        "print([m for m in ('torch', 'jax', 'onnx', 'onnxruntime', 'pygal', 'jinja2', 'scipy') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
