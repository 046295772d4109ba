"""What a draft of a report to an authority has: its fields, in sections, by kind. Tables only.

STOR: the template in the Annex of Commission Delegated Regulation (EU) 2016/957 (MAR Art. 16), its six sections. SAR: FinCEN's Bank Secrecy Act
Suspicious Activity Report (FinCEN Report 111), Parts I to V, as far as a venue can know them. Both were read in excerpts: look at the form itself before
anything is sent. A venue knows accounts, orders and trades. It knows no names, birthdays or addresses: such a field stays empty until a person fills it.
"""

from dataclasses import dataclass
from typing import Final

FIELD_MAX: Final = 20_000
"""Characters of one field."""


@dataclass(frozen=True)
class ReportField:
    """needed: without it the report cannot be released. hint: what belongs there."""

    name: str
    section: str
    title: str
    hint: str = ""
    needed: bool = False


@dataclass(frozen=True)
class ReportForm:
    """One kind of report."""

    kind: str
    title: str
    modelled_on: str
    fields: tuple[ReportField, ...]

    @property
    def names(self) -> frozenset[str]:
        """Of the fields."""
        return frozenset(one.name for one in self.fields)


_SUBMITTER, _ORDERS, _SUSPICION = "1 Who submits the report", "2 Transaction or order", "3 Nature of the suspicion"
_PERSON, _MORE, _ATTACHED = "4 Whose orders or transactions", "5 Additional information", "6 Documentation attached"
STOR: Final = ReportForm(
    "STOR", "Suspicious transaction and order report", "Annex of Delegated Regulation (EU) 2016/957",
    (
        ReportField("submitter_name", _SUBMITTER, "Name of the natural person", "Who is in charge of the submission", needed=True),
        ReportField("submitter_position", _SUBMITTER, "Position within the reporting entity"),
        ReportField("entity_name", _SUBMITTER, "Name of the reporting entity", "Full name, legal form, LEI", needed=True),
        ReportField("entity_address", _SUBMITTER, "Address of the reporting entity"),
        ReportField("acting_capacity", _SUBMITTER, "Acting capacity of the entity"),
        ReportField("trading_activity", _SUBMITTER, "Type of trading activity, and of instrument traded, by the entity", "If available"),
        ReportField("relationship", _SUBMITTER, "Relationship with the person about whom it is"),
        ReportField("contact", _SUBMITTER, "Contact for additional information", "Name, position, telephone, e-mail", needed=True),
        ReportField("instrument", _ORDERS, "Description of the financial instrument", "Full name, type", needed=True),
        ReportField("instrument_code", _ORDERS, "Instrument identification code", "ISIN"),
        ReportField("reference_instrument", _ORDERS, "Reference of the underlying instrument", "Of a derivative"),
        ReportField("period", _ORDERS, "Dates and times of orders or transactions", "With their time zone", needed=True),
        ReportField("market", _ORDERS, "Market where they occurred", "Name and MIC"),
        ReportField("location", _ORDERS, "Location", "Where orders were given, and executed, if available"),
        ReportField("orders", _ORDERS, "Description of the orders or transactions", "Reference numbers, prices, quantities, times", needed=True),
        ReportField("cancellations", _ORDERS, "Order cancellation or alteration", "When, by whom, what, why"),
        ReportField("nature", _SUSPICION, "Nature of the suspicion", "Type of breach", needed=True),
        ReportField("reasons", _SUSPICION, "Reasons for the suspicion", "What was done, and why it is suspicious", needed=True),
        ReportField("person_name", _PERSON, "Name", "First names and surnames; of an entity its full name, legal form, LEI"),
        ReportField("person_birth", _PERSON, "Date of birth"),
        ReportField("person_id", _PERSON, "National identification number"),
        ReportField("person_address", _PERSON, "Address"),
        ReportField("person_employment", _PERSON, "Information about the employment", "Place and position"),
        ReportField("person_accounts", _PERSON, "Account numbers", "Cash and securities accounts", needed=True),
        ReportField("person_client_code", _PERSON, "Client identifier under transaction reporting"),
        ReportField("person_issuer", _PERSON, "Relationship with the issuer of the instrument", "If applicable and known"),
        ReportField("background", _MORE, "Background or other relevant information"),
        ReportField("attachments", _ATTACHED, "List of the attachments"),
    ),
)  # fmt: skip
_SUBJECT, _ACTIVITY, _WHERE = "Part I Subject", "Part II Suspicious activity", "Part III Institution where it occurred"
_FILER, _NARRATIVE = "Part IV Filing institution", "Part V Narrative"
SAR: Final = ReportForm(
    "SAR", "Suspicious activity report", "FinCEN Report 111 (BSA SAR), Parts I to V",
    (
        ReportField("subject_name", _SUBJECT, "Individual's last and first name, or entity's legal name"),
        ReportField("subject_alternate", _SUBJECT, "Alternate name", "AKA, DBA"),
        ReportField("subject_occupation", _SUBJECT, "Occupation or type of business"),
        ReportField("subject_address", _SUBJECT, "Address", "Street, city, state, ZIP code, country"),
        ReportField("subject_tin", _SUBJECT, "TIN"),
        ReportField("subject_identification", _SUBJECT, "Form of identification"),
        ReportField("subject_birth", _SUBJECT, "Date of birth"),
        ReportField("subject_phone", _SUBJECT, "Telephone, e-mail"),
        ReportField("subject_relationship", _SUBJECT, "Relationship of the subject to the institution"),
        ReportField("subject_accounts", _SUBJECT, "Account numbers affected", needed=True),
        ReportField("amount", _ACTIVITY, "Amount involved", "Total, in US dollars"),
        ReportField("period", _ACTIVITY, "Date or date range of the activity", needed=True),
        ReportField("activity", _ACTIVITY, "Type of suspicious activity", "Securities, futures, options", needed=True),
        ReportField("products", _ACTIVITY, "Product types and instruments involved", needed=True),
        ReportField("product_code", _ACTIVITY, "CUSIP number"),
        ReportField("addresses", _ACTIVITY, "IP addresses", "From which the subject signed in, with dates"),
        ReportField("market", _WHERE, "Market where traded", "ISO 10383 code"),
        ReportField("institution", _WHERE, "Name, address, identification of the institution"),
        ReportField("filer", _FILER, "Name, address, TIN, regulator of the filing institution", needed=True),
        ReportField("contact", _FILER, "Contact office and telephone", needed=True),
        ReportField("narrative", _NARRATIVE, "Narrative", "Who, what, when, where, why, and how", needed=True),
    ),
)  # fmt: skip
FORMS: Final = {one.kind: one for one in (STOR, SAR)}
