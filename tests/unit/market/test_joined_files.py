"""A folder of files: one symbol's months, many contracts, archives; and what is not data."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reinforcestrategycreator_pipeline.api.bars import read_bars
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.sources.catalog import source_for
from reinforcestrategycreator_pipeline.market.sources.files import reading

HEADER = "date,open,high,low,close,volume"
ROW = "10,12,9,11,100"


def text(start: str, count: int, header: str = HEADER, freq: str = "D") -> str:
    days = pd.date_range(start, periods=count, freq=freq)
    return "\n".join([header, *(f"{day:%Y-%m-%d},{ROW}" for day in days)]) + "\n"


def write(folder: Path, name: str, start: str, count: int) -> None:
    (folder / name).write_text(text(start, count))


# --- names that hold a time -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "symbol"),
    [
        (("BTCUSDT-1m-2024-01", "BTCUSDT-1m-2024-02"), "BTCUSDT-1m"),
        (("AAPL_202401", "AAPL_202402"), "AAPL"),
        (("AAPL_2024_01", "AAPL_2024_02"), "AAPL"),
        (("DAT_ASCII_EURUSD_M1_202401", "DAT_ASCII_EURUSD_M1_202402"), "DAT_ASCII_EURUSD_M1"),
        (("2024-01-AAPL", "2024-02-AAPL"), "AAPL"),
        (("AAPL_20240101_20240131", "AAPL_20240201_20240229"), "AAPL"),
        (("AAPL.2024-01-01-to-2024-01-31", "AAPL.2024-02-01-to-2024-02-29"), "AAPL"),
        (("2024-01", "2024-02"), "prices"),
    ],
)
def test_the_months_of_one_symbol(tmp_path: Path, names: tuple[str, str], symbol: str) -> None:
    folder = tmp_path / "prices"
    folder.mkdir()
    write(folder, f"{names[0]}.csv", "2024-01-01", 31)
    write(folder, f"{names[1]}.csv", "2024-02-01", 29)
    data = read_bars(folder)
    assert data.symbols == (symbol,)
    assert len(data[symbol]) == 60
    assert any(w.endswith(f" are one symbol, {symbol}.") for w in data.warnings)


@pytest.mark.parametrize("names", [("A_2023", "A_2024"), ("A-2023Q4", "A-2024Q1")])
def test_years_and_quarters(tmp_path: Path, names: tuple[str, str]) -> None:
    write(tmp_path, f"{names[0]}.csv", "2023-10-01", 92)
    write(tmp_path, f"{names[1]}.csv", "2024-01-01", 60)
    assert len(read_bars(tmp_path)["A"]) == 152


def test_contracts_that_expire_are_not_months(tmp_path: Path) -> None:
    for name, start in (("CL_2024-03", "2023-11-20"), ("CL_2024-04", "2023-12-20")):
        write(tmp_path, f"{name}.csv", start, 90)
    data = read_bars(tmp_path)
    assert data.symbols == ("CL_2024-03", "CL_2024-04")
    assert any("are symbols of their own: their rows are not of the times" in w
               for w in data.warnings)  # fmt: skip
    for path in tmp_path.iterdir():
        path.unlink()
    for code, start in (
        ("ESH24", "2023-12-01"),
        ("ESM24", "2024-02-01"),
        ("ESU2024", "2024-05-01"),
    ):
        write(tmp_path, f"{code}.csv", start, 100)
    data = read_bars(tmp_path)
    assert data.symbols == ("ESH24", "ESM24", "ESU2024")
    assert data.warnings == ()


def test_contracts_one_after_the_other_are_not_months_either(tmp_path: Path) -> None:
    # Each is traded in the two months before it expires.
    for month, start in (("03", "2024-01-01"), ("05", "2024-03-01"), ("07", "2024-05-01")):
        write(tmp_path, f"CL_2024-{month}.csv", start, 50)
    data = read_bars(tmp_path)
    assert data.symbols == ("CL_2024-03", "CL_2024-05", "CL_2024-07")
    assert any("follow one another in time" in w for w in data.warnings)
    assert read_bars(tmp_path, symbol="CL").symbols == ("CL",)


def test_a_file_that_is_not_of_the_time_in_its_name(tmp_path: Path) -> None:
    write(tmp_path, "AAA-2024-01.csv", "2024-01-01", 31)
    write(tmp_path, "AAA-2024-02.csv", "2024-02-01", 29)
    write(tmp_path, "AAA-2024-03.csv", "2014-03-01", 31)
    with pytest.raises(DataError, match=r"AAA-2024-03\.csv: has rows from 2014-03-01 .*Rename"):
        read_bars(tmp_path)
    assert len(read_bars(tmp_path, symbol="AAA")["AAA"]) == 91


def test_files_that_follow_one_another_may_be_one_symbol(tmp_path: Path) -> None:
    write(tmp_path, "part1.csv", "2024-01-01", 31)
    write(tmp_path, "part2.csv", "2024-02-01", 29)
    data = read_bars(tmp_path)
    assert any("the symbols part1, part2 follow one another" in w for w in data.warnings)
    joined = read_bars(tmp_path, symbol="AAA")
    assert (joined.symbols, len(joined["AAA"])) == (("AAA",), 60)
    assert joined.warnings == ()


def test_a_bad_row_of_a_joined_file_has_its_name_and_line(tmp_path: Path) -> None:
    write(tmp_path, "A-2024-01.csv", "2024-01-01", 31)
    (tmp_path / "A-2024-02.csv").write_text(text("2024-02-01", 29).replace("02-05,10", "02-05,-1"))
    with pytest.raises(DataError, match=r"A: open must be > 0: A-2024-02\.csv line 6 ") as caught:
        read_bars(tmp_path)
    assert caught.value.rows["origin"].tolist()[0] == str(tmp_path / "A-2024-02.csv")
    assert caught.value.rows["row"].tolist()[0] == 6


def test_milliseconds_until_2024_and_microseconds_since(tmp_path: Path) -> None:
    hour = 3_600_000
    for name, start, factor in (
        ("B-1h-2024-12.csv", 1_733_011_200_000, 1),
        ("B-1h-2025-01.csv", 1_735_689_600_000, 1000),
    ):
        rows = [f"{(start + hour * i) * factor},{ROW}" for i in range(48)]
        (tmp_path / name).write_text("\n".join([HEADER.replace("date", "open_time"), *rows]))
    index = read_bars(tmp_path, date_format="epoch")["B-1h"].index
    assert [str(index[i])[:16] for i in (0, 48)] == ["2024-12-01 01:00", "2025-01-01 01:00"]
    with pytest.raises(DataError, match="with date_format epoch_us it would be 2025-01-01"):
        read_bars(tmp_path, date_format="epoch_ms")


def test_a_symbol_that_is_not_there_names_the_file(tmp_path: Path) -> None:
    write(tmp_path, "AAA.csv", "2024-01-01", 31)
    for path in (tmp_path, tmp_path / "AAA.csv"):
        with pytest.raises(DataError) as caught:
            read_bars(path, symbols=["AAB"])
        assert str(caught.value) == f"{path}: there is no symbol 'AAB'. Did you mean 'AAA'?"


# --- archives -------------------------------------------------------------------------------------


def zipped(path: Path, members: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_archives_are_read_as_what_is_in_them(tmp_path: Path) -> None:
    plain = text("2024-01-01", 31)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "AAA.csv").write_text(plain)
    expected = read_bars(tmp_path / "plain")["AAA"]
    packed = tmp_path / "AAA.csv.gz"
    packed.write_bytes(gzip.compress(plain.encode()))
    pd.testing.assert_frame_equal(read_bars(packed)["AAA"], expected)
    half = len(plain) // 2  # gzip files may be concatenated
    packed.write_bytes(b"".join(gzip.compress(p.encode()) for p in (plain[:half], plain[half:])))
    pd.testing.assert_frame_equal(read_bars(packed)["AAA"], expected)
    found = read_bars(
        zipped(tmp_path / "all.zip", {"AAA.csv": plain, "b/BBB.csv": plain, "__MACOSX/._A.csv": ""})
    )
    assert found.symbols == ("AAA", "BBB")
    pd.testing.assert_frame_equal(found["AAA"], expected)


def test_a_folder_of_zipped_months(tmp_path: Path) -> None:
    for month, count in (("01", 31), ("02", 29)):
        stem = f"BTCUSDT-1d-2024-{month}"
        zipped(tmp_path / f"{stem}.zip", {f"{stem}.csv": text(f"2024-{month}-01", count)})
        (tmp_path / f"{stem}.zip.CHECKSUM").write_text("0")
    data = read_bars(tmp_path)
    assert (data.symbols, len(data["BTCUSDT-1d"])) == (("BTCUSDT-1d",), 60)
    assert len(data.provenance["sha256"]) == 2


def test_a_zip_of_parquet(tmp_path: Path) -> None:
    table = pa.Table.from_pandas(pd.read_csv(io.StringIO(text("2024-01-01", 31))))
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    path = zipped(tmp_path / "a.zip", {"AAA.parquet": buffer.getvalue()})
    assert source_for(path) == "parquet"
    assert len(read_bars(path)["AAA"]) == 31


@pytest.mark.parametrize("cut", range(1, 13))
def test_four_bytes_of_a_file_that_is_cut_off_are_no_size(tmp_path: Path, cut: int) -> None:
    good = gzip.compress(text("2024-01-01", 31).encode())
    (tmp_path / "AAA.csv.gz").write_bytes(good[:-cut])
    with pytest.raises(DataError, match="the gzip file is cut off"):
        read_bars(tmp_path / "AAA.csv.gz")


def test_damaged_archives_are_one_line(tmp_path: Path) -> None:
    good = gzip.compress(text("2024-01-01", 31).encode())
    whole = zipped(tmp_path / "whole.zip", {"AAA.csv": text("2024-01-01", 31)}).read_bytes()
    flipped = bytearray(whole)
    flipped[60] ^= 255
    cases = {
        "cut.csv.gz": (good[:-20], "the gzip file is cut off"),
        "junk.csv.gz": (b"junk", "is not a valid gzip file"),
        "check.csv.gz": (good[:-8] + b"\0\0\0\0" + good[-4:], "is not a valid gzip file"),
        "empty.csv.gz": (gzip.compress(b""), "the file is empty"),
        "cut.zip": (whole[:-30], "is not a zip file that can be read"),
        "flipped.zip": (bytes(flipped), "is not a zip file that can be read"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message) as caught:
            read_bars(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)
    excel = zipped(tmp_path / "prices.zip", {"xl/workbook.xml": "<x/>", "AAA.csv": "x"})
    with pytest.raises(DataError, match="is an Excel file; export it as CSV"):
        read_bars(excel)
    nothing = zipped(tmp_path / "nothing.zip", {"readme.md": "x"})
    with pytest.raises(DataError, match=r"contains no \.csv or \.txt file, but readme\.md"):
        read_bars(nothing)


def test_any_damage_of_an_archive_is_one_line(tmp_path: Path) -> None:
    plain = text("2024-01-01", 31)
    contents = {
        "A.zip": zipped(tmp_path / "good.zip", {"A.csv": plain}).read_bytes(),
        "A.csv.gz": gzip.compress(plain.encode()),
    }
    rng = np.random.default_rng(8)
    refused = []
    for name, content in contents.items():
        for position in rng.integers(0, len(content), 150):
            damaged = bytearray(content)
            damaged[position] ^= int(rng.integers(1, 256))
            (tmp_path / name).write_bytes(damaged)
            try:
                read_bars(tmp_path / name)
            except DataError as error:
                refused.append(str(error))
    assert len(refused) > 150
    assert not any("\n" in message for message in refused)


def test_what_an_archive_unpacks_to_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_DATA_BYTES", 100_000)
    monkeypatch.setattr(reading, "_CHUNK", 10_000)
    bomb = gzip.compress(bytes(1_000_000))
    (tmp_path / "A.csv.gz").write_bytes(bomb)
    with pytest.raises(DataError, match="but unpacks to more than 100,000"):
        read_bars(tmp_path / "A.csv.gz")
    (tmp_path / "A.csv.gz").write_bytes(bomb[:-4] + b"\1\0\0\0")  # the trailer lies
    with pytest.raises(DataError, match="but unpacks to more than 100,000"):
        read_bars(tmp_path / "A.csv.gz")
    path = zipped(tmp_path / "A.zip", {"A.csv": bytes(60_000), "B.csv": bytes(60_000)})
    with pytest.raises(DataError, match="but unpacks to more than 100,000"):
        read_bars(path)


# --- what is not data -----------------------------------------------------------------------------


def test_a_readme_is_no_data_and_what_was_seen_is_said(tmp_path: Path) -> None:
    write(tmp_path, "AAA.csv", "2024-01-01", 31)
    for name in ("readme.txt", "LICENSE.txt", "README_data.txt"):
        (tmp_path / name).write_text("Prices.")
    assert read_bars(tmp_path).symbols == ("AAA",)
    (tmp_path / "AAA.csv").rename(tmp_path / "AAA.xls")
    with pytest.raises(DataError, match=r"contains no .* file\. It has AAA\.xls, LICENSE\.txt, "):
        read_bars(tmp_path)
