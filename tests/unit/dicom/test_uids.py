"""UIDs, transfer syntaxes and storage SOP classes against pydicom's dictionary (PS3.6 Annex A)."""

from __future__ import annotations

import pydicom.uid
import pytest
from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID, AllTransferSyntaxes

from hilum.dicom import uids
from hilum.dicom.uids import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES, is_valid_uid, transfer_syntax, uid_name

# In newer editions than pydicom's.
NEWER_TRANSFER_SYNTAXES = {"JPEGXLLossless", "JPEGXLJPEGRecompression", "JPEGXL", "DeflatedImageFrameCompression"}


def test_every_transfer_syntax_of_the_dictionary_is_known_with_its_name_and_keyword() -> None:
    theirs = {
        uid: (name, keyword, bool(retired))
        for uid, (name, kind, _, retired, keyword) in UID_dictionary.items()
        if kind == "Transfer Syntax"
    }
    ours = {uid: (t.name, t.keyword, t.is_retired) for uid, t in TRANSFER_SYNTAXES.items()}
    assert {uid: ours[uid] for uid in theirs} == theirs
    # Other libraries may have taught pydicom's dictionary some of them.
    assert {ours[uid][1] for uid in ours.keys() - theirs.keys()} <= NEWER_TRANSFER_SYNTAXES
    assert {keyword for _, keyword, _ in ours.values()} >= NEWER_TRANSFER_SYNTAXES


# pydicom calls everything encapsulated that is not one of the four native syntaxes; these carry no pixel data at all.
WITHOUT_PIXEL_DATA = ("JPIP", "SMPTE")


@pytest.mark.parametrize(
    "uid",
    [UID(u) for u in AllTransferSyntaxes if not UID(u).keyword.startswith(WITHOUT_PIXEL_DATA)],
    ids=lambda u: u.keyword,
)
def test_properties_of_a_transfer_syntax_equal_those_of_pydicom(uid: UID) -> None:
    ours = transfer_syntax(uid)
    assert ours.is_explicit == (not uid.is_implicit_VR)
    assert ours.is_little_endian == uid.is_little_endian
    assert ours.is_deflated == uid.is_deflated
    assert ours.is_encapsulated == uid.is_encapsulated


def test_lossless_syntaxes_are_those_whose_name_says_so() -> None:
    lossless = {t.keyword for t in TRANSFER_SYNTAXES.values() if "Lossless" in t.name and "Near-" not in t.name}
    assert not {t.keyword for t in TRANSFER_SYNTAXES.values() if t.is_lossy} & lossless
    assert transfer_syntax(uids.JPEG_BASELINE).is_lossy
    assert transfer_syntax(uids.JPEG_LS_NEAR_LOSSLESS).is_lossy
    assert transfer_syntax(uids.HTJ2K).is_lossy


@pytest.mark.parametrize(
    ("uid", "media_type"),
    [
        (uids.EXPLICIT_VR_LITTLE_ENDIAN, "application/octet-stream"),
        (uids.ENCAPSULATED_UNCOMPRESSED, "application/octet-stream"),
        (uids.JPEG_BASELINE, "image/jpeg"),
        (uids.JPEG_LOSSLESS_SV1, "image/jpeg"),
        (uids.JPEG_LS_LOSSLESS, "image/jls"),
        (uids.JPEG_2000, "image/jp2"),
        (uids.JPEG_XL, "image/jxl"),
        (uids.HTJ2K_LOSSLESS_RPCL, "image/jphc"),
        (uids.RLE_LOSSLESS, "image/dicom-rle"),
        (str(pydicom.uid.MPEG2MPML), "video/mpeg"),
        (str(pydicom.uid.HEVCMP51), "video/mp4"),
    ],
)
def test_frames_leave_under_the_media_type_of_their_transfer_syntax(uid: str, media_type: str) -> None:
    assert transfer_syntax(uid).media_type == media_type
    assert transfer_syntax(uid).is_video == media_type.startswith("video/")


def test_an_unknown_transfer_syntax_is_taken_for_an_encapsulated_one() -> None:
    unknown = transfer_syntax("1.2.3.4")
    assert unknown.is_encapsulated and unknown.is_explicit and unknown.is_little_endian


def test_every_storage_sop_class_of_the_dictionary_is_known() -> None:
    not_storage_service = {
        "MediaStorageDirectoryStorage",
        "StorageCommitmentPushModel",
        "StorageCommitmentPullModel",
    }
    theirs = {
        uid: (keyword, name, bool(retired))
        for uid, (name, kind, _, retired, keyword) in UID_dictionary.items()
        if kind == "SOP Class" and "Storage" in name and keyword not in not_storage_service
    }
    ours = {uid: (c.keyword, c.name, c.is_retired) for uid, c in STORAGE_SOP_CLASSES.items()}
    assert {uid: ours.get(uid) for uid in theirs} == theirs
    assert all(is_valid_uid(uid) and uid == c.uid for uid, c in STORAGE_SOP_CLASSES.items())


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in vars(uids)
        if n.isupper() and isinstance(getattr(uids, n), str) and not n.startswith(("IMPLEMENTATION", "_"))
    ],
)
def test_every_constant_is_a_registered_uid(name: str) -> None:
    uid = getattr(uids, name)
    assert uid in UID_dictionary or uid in TRANSFER_SYNTAXES


def test_our_implementation_identifies_itself_within_the_bounds_of_the_standard() -> None:
    assert is_valid_uid(uids.IMPLEMENTATION_CLASS_UID)
    assert uids.IMPLEMENTATION_CLASS_UID.startswith("2.25.")
    assert int(uids.IMPLEMENTATION_CLASS_UID[5:]) < 2**128
    assert 0 < len(uids.IMPLEMENTATION_VERSION_NAME) <= 16


@pytest.mark.parametrize("uid", ["1", "1.2.3", "0.0", "2.25.0", "1." + "2" * 62])
def test_a_uid_of_digits_and_single_dots_is_valid(uid: str) -> None:
    assert is_valid_uid(uid)


@pytest.mark.parametrize(
    "uid",
    ["", ".", "1.", ".1", "1..2", "1.02", "01.2", "1.2a", "1.2 ", "1.2\n", "1.2\0", "1.٣", "../1", "1." + "2" * 63],
)
def test_what_breaks_a_rule_of_uids_is_not_valid(uid: str) -> None:
    assert not is_valid_uid(uid)


def test_names_are_given_for_known_uids_and_the_uid_for_others() -> None:
    assert uid_name(uids.CT_IMAGE_STORAGE) == "CT Image Storage"
    assert uid_name(uids.VERIFICATION) == "Verification SOP Class"
    assert uid_name(uids.RLE_LOSSLESS) == "RLE Lossless"
    assert uid_name("1.2.3") == "1.2.3"
