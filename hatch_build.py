"""The README as a package index shows it. hatchling runs this file when it builds a distribution.

A package index has only the text: links to other files of the repository lead nowhere there. A link to a page of the
documentation becomes the command that prints the page, and pictures are left out.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class PackagePage(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        root = Path(self.root)
        text = (root / "README.md").read_text(encoding="utf-8")
        text = re.sub(r"<picture>.*?</picture>\n\n", "", text, flags=re.DOTALL)
        text = re.sub(r"\[([^\]]+)\]\((?!https?:)([^)#]+)[^)]*\)", lambda link: shown(link[1], root / link[2]), text)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def shown(text: str, page: Path) -> str:
    """The text of a link to a file of the repository."""
    docs = page.parent.parent
    if docs.name != "docs":
        return text
    # the topics of `modelbay docs`, where guides and concepts come before the reference
    names = [folder for folder in ("guides", "concepts", "reference") if (docs / folder / page.name).exists()]
    topic = page.stem if names[0] == page.parent.name else f"{page.parent.name}/{page.stem}"
    return f"{text} (`modelbay docs {topic}`)"
