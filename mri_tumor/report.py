"""A page of one's own about a run: one self-contained HTML file, put together step by step."""

from mri_tumor.page import Page


class Report(Page):
    """A page that is put together step by step and saved as one HTML file; its methods are those of `Page`.

    Args:
        title: the page's heading.

    >>> page = Report("Trial").heading("Scores").table(["part", "accuracy"], [["clean", 0.5]])
    >>> "0.500" in page.to_html()
    True
    """
