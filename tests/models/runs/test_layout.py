"""The page that plays a run is found wherever it was written."""

from models.runs import layout


def test_a_noted_page_is_found_until_it_is_gone(tmp_path):
    run_dir, page = tmp_path / "runs" / "flute", tmp_path / "my flute.html"
    run_dir.mkdir(parents=True)
    assert layout.find_page(run_dir) is None
    page.write_text("played")
    layout.remember_page(run_dir, page)
    assert layout.find_page(run_dir) == page.resolve()
    page.unlink()
    assert layout.find_page(run_dir) is None


def test_a_page_in_the_run_needs_no_note(tmp_path):
    page = tmp_path / layout.PAGE_NAME
    page.write_text("played")
    assert layout.find_page(tmp_path) == page.resolve()


def test_run_and_page_may_move_together(tmp_path):
    run_dir, page = tmp_path / "demo" / "run", tmp_path / "demo" / "flute.html"
    run_dir.mkdir(parents=True)
    page.write_text("played")
    layout.remember_page(run_dir, page)
    moved = (tmp_path / "demo").rename(tmp_path / "moved")
    assert layout.find_page(moved / "run") == (moved / "flute.html").resolve()


def test_a_folder_that_takes_no_note_is_no_error(tmp_path):
    layout.remember_page(tmp_path / "absent", tmp_path / "flute.html")
    assert not (tmp_path / "absent").exists()


def test_links_are_seen_from_the_folder(tmp_path):
    page = (tmp_path / "my flute.html").resolve()
    assert layout.page_link(page, tmp_path / "report") == "../my%20flute.html"
    assert layout.page_link(None, tmp_path) is None
