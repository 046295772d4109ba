"""Reports to authorities in a real Chromium: made from the case's page, filled in, released by a second person; what axe-core finds in both sizes."""

import re
from typing import Any

import pytest
from playwright.async_api import expect
from support.analyst_desk import desk, do, state_is
from support.browser import NARROW, NEEDS_CHROMIUM, WIDE, findings, fits

from access.people import Role
from surveillance.cases.report_fields import STOR

pytestmark = NEEDS_CHROMIUM

NEEDED = [one.name for one in STOR.fields if one.needed]


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
async def test_a_report_from_its_case_to_its_release_by_two_people(viewport: Any, scheme: Any) -> None:
    """What is not known says so; who has worked on it is not offered the release; an analyst's page has no link to it."""
    async with desk() as at:
        at.edge.stores.add("dora", Role.COMPLIANCE)
        carl = await at.sign_in("carl", viewport=viewport, color_scheme=scheme)
        await do(carl, "OPEN", "")
        await state_is(carl, "in review, carl")
        await carl.click("#report-open")
        await carl.fill("#make-comment", "suspected layering")
        await carl.click("#make button[type=submit]")
        await expect(carl.locator("#report-title")).to_contain_text("Suspicious transaction and order report: draft")
        await expect(carl.locator("#banner")).to_have_text("Draft, not released")
        await expect(carl.locator("#field-reasons")).to_have_value(re.compile("Account 7 placed 3 sell orders"))
        await expect(carl.locator("#told-person_birth")).to_have_text("Not known.")
        await expect(carl.locator("#told-contact")).to_contain_text("Not known: needed before release.")
        await expect(carl.locator("[data-action=RELEASE_REPORT]")).to_have_count(0)
        assert await findings(carl) == []
        assert await fits(carl)
        for name in NEEDED:
            field = carl.locator(f"#field-{name}")
            if not await field.input_value():
                await field.fill(f"what is known of {name}")
        await carl.click("#save")
        await expect(carl.locator("#reports td.num")).to_have_text("")
        dora = await at.sign_in("dora")
        await dora.goto(f"{at.edge.origin}/surveillance/drafts")
        await dora.click("#reports button")
        await dora.click("[data-action=RELEASE_REPORT]")
        await dora.fill("#doing-comment", "complete")
        await dora.click("#doing button[type=submit]")
        await expect(dora.locator("#about")).to_contain_text("Released by")
        await expect(dora.locator("#field-reasons")).not_to_be_editable()
        ann = await at.sign_in("ann")
        await state_is(ann, "in review, carl")
        await expect(ann.locator("#report-open")).to_be_hidden()
        assert ("RELEASE_REPORT", "dora") in {one[:2] for one in at.edge.cases.records}
        assert at.trouble == []
