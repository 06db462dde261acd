"""Build the site with Zensical too, the successor of the theme's builder, and say how its pages differ.

`make zensical` runs this after `make docs`. Nothing depends on it: it shows how far the site is from moving house.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SITE = ROOT / "site"
HEADING = re.compile(r'<h[1-6] id="([^"]*)"')
FORMULA = re.compile(r'class="arithmatex"')


def main() -> int:
    """Return 0 if both builders make the same pages with the same headings and as many formulas."""
    if not SITE.is_dir():
        sys.exit("there is no site/ to compare with: run `make docs` first")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "docs", folder / "docs")  # it takes no link to a folder for it
        for wing in ("ref", "accel"):
            (folder / wing).symlink_to(ROOT / wing, target_is_directory=True)
        (folder / "mkdocs.yml").write_bytes((ROOT / "mkdocs.yml").read_bytes())
        subprocess.run([Path(sys.executable).with_name("zensical"), "build"], cwd=folder, check=True)
        found = differences(SITE, folder / "site")
    print("\n".join(found) or "Both builders make the same pages, headings and formulas.")
    return int(bool(found))


def differences(one: Path, other: Path) -> list[str]:
    """Return what differs between two sites, a line for each."""
    pages, others = (
        {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
        for site in (one, other)
    )
    found = [f"only MkDocs makes {page}" for page in sorted(pages.keys() - others.keys())]
    found += [f"only Zensical makes {page}" for page in sorted(others.keys() - pages.keys())]
    for page in sorted(pages.keys() & others.keys()):
        for what, pattern in (("headings", HEADING), ("formulas", FORMULA)):
            if pattern.findall(pages[page]) != pattern.findall(others[page]):
                found.append(f"{what} differ on {page}")
    return found


if __name__ == "__main__":
    sys.exit(main())
