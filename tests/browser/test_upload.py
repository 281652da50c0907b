"""Filling an archive from the browser; the tests of this module follow each other on one archive."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread

from hilum.dicom.samples import sample_studies
from support.browsing import Visit


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study in a folder as people have them: with other files, and with a damaged one."""
    folder = tmp_path_factory.mktemp("cd")
    ct = [each for each in sample_studies(small=True) if each.modality == "CT"]
    for number, instance in enumerate(ct[:8]):
        (folder / f"IM{number:04d}").write_bytes(instance.part10)
    nameless = dcmread(folder / "IM0000")
    del nameless.StudyInstanceUID
    nameless.SOPInstanceUID += ".1"
    nameless.file_meta.MediaStorageSOPInstanceUID = nameless.SOPInstanceUID
    nameless.save_as(folder / "IM0008")
    (folder / "readme.txt").write_text("Only for use by the patient.")
    return folder


def test_an_empty_archive_says_how_to_fill_it(signed_in: Visit) -> None:
    signed_in.page.get_by_role("heading", name="No studies yet").wait_for()
    signed_in.page.get_by_text(f"C-STORE to HILUM@127.0.0.1:{signed_in.hilum.dicom_port}").wait_for()
    assert signed_in.barriers() == []


def test_chosen_files_are_stored_and_each_tells_what_became_of_it(signed_in: Visit, folder: Path) -> None:
    page = signed_in.page
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload").click()
    chooser.value.set_files(sorted(folder.iterdir()))
    page.get_by_text("Upload finished").wait_for()
    panel = page.get_by_role("region", name="Upload")
    assert "8 stored" in panel.inner_text()
    assert "1 left out" in panel.inner_text()
    panel.get_by_role("button", name="1 not stored").click()
    assert panel.get_by_role("listitem").count() == 1
    row = panel.get_by_role("listitem").inner_text()
    assert "IM0008" in row
    assert "StudyInstanceUID" in row
    assert signed_in.barriers() == []
    page.get_by_role("link", name="Müller-Lüdenscheidt").first.wait_for()


def test_a_whole_folder_may_be_chosen_and_stored_again(signed_in: Visit, folder: Path) -> None:
    signed_in.page.get_by_label("Folder to upload").set_input_files(folder)
    signed_in.page.get_by_text("Upload finished").wait_for()
    assert "8 stored" in signed_in.page.get_by_role("region", name="Upload").inner_text()
    with signed_in.hilum.client() as client:
        assert len(client.get("/dicom-web/instances").json()) == 8


def test_dropped_files_are_taken_wherever_they_fall(signed_in: Visit) -> None:
    drop = """async () => {
      const transfer = new DataTransfer();
      transfer.items.add(new File(['no picture'], 'notes.txt'));
      for (const kind of ['dragenter', 'dragover']) {
        document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
      const hint = document.body.innerText.includes('Drop DICOM files or folders to upload them');
      document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }));
      return hint;
    }"""
    signed_in.page.get_by_role("button", name="Upload").wait_for()
    assert signed_in.page.evaluate(drop) is True
    signed_in.page.get_by_text("Not a DICOM file").wait_for()
