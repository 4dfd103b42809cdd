from mri_tumor.page import Page
from mri_tumor.report import Report


def test_a_report_is_a_page() -> None:
    page = Report("Trial").heading("Scores").text("few")
    assert isinstance(page, Page)
    assert isinstance(page, Report)
    assert page.to_html() == Page("Trial").heading("Scores").text("few").to_html()
