from zeroproofml.report import derive, rundir


def test_sealed_run_validates(make_run):
    path = make_run(mode="paper", seeds=tuple(range(1, 11)), options=derive.Options(html=True))
    manifest = rundir.validate_run_dir(path)
    assert manifest.status == "complete"
    import shutil

    shutil.copytree(path, "/tmp/figs/run", dirs_exist_ok=True)
