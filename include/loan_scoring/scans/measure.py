"""Measure how well simulated pages are read, and what gets in unseen."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from loan_scoring.contract import Contract
from loan_scoring.errors import SourceError
from loan_scoring.scans.fields import judge_page
from loan_scoring.scans.layout import Layout
from loan_scoring.scans.recognise import read_boxes
from loan_scoring.scans.simulate import SimulatedPage
from loan_scoring.scans.straighten import straighten

HEADER = (
    "| quality | pages | refused | fields read | right | applications without a person | "
    "fields for a person | wrong unseen | seconds a page |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)


@dataclass
class Measured:
    """Counts over the pages of one quality.

    `unseen` counts fields with a wrong value and no doubt, on all pages, also on those that wait:
    a person looks at doubtful fields only. `seconds` is time of the processor.
    """

    quality: str
    pages: int = 0
    refused: int = 0
    fields: int = 0
    right: int = 0
    certain: int = 0
    doubtful: int = 0
    unseen: int = 0
    seconds: float = 0.0

    @property
    def line(self) -> str:
        """The counts as a line of a Markdown table."""
        read = max(self.pages - self.refused, 1)
        fields = max(self.fields, 1)
        return (
            f"| {self.quality} | {self.pages} | {self.refused} | {self.fields:,} | "
            f"{self.right / fields:.2%} | {self.certain / read:.0%} | "
            f"{self.doubtful / fields:.1%} | {self.unseen} | "
            f"{self.seconds / max(self.pages, 1):.1f} |"
        )


def measure_pages(
    contract: Contract, layout: Layout, quality: str, pages: Iterable[SimulatedPage]
) -> tuple[Measured, list[str]]:
    """Return the counts over simulated pages, and a line for each wrong field that has no doubt."""
    counts, unseen = Measured(quality), []
    for page in pages:
        counts.pages += 1
        started = time.process_time()
        try:
            straight = straighten(page.image, layout, page.name)
        except SourceError:
            counts.refused += 1
            counts.seconds += time.process_time() - started
            continue
        read = judge_page(contract, layout, read_boxes(straight.image, layout.boxes))
        counts.seconds += time.process_time() - started
        counts.certain += not read.doubtful
        for name, each in read.fields.items():
            is_right = each.text == page.texts[name]
            counts.fields += 1
            counts.right += is_right
            counts.doubtful += bool(each.doubts)
            if not is_right and not each.doubts:
                counts.unseen += 1
                unseen.append(f"{page.name} {name}: {page.texts[name]!r} was read {each.text!r}")
    return counts, unseen
