"""Say in words why a field is doubtful."""

WORDS = {
    "unsure": "read with little confidence",
    "two_readings": "two readings differ",
    "cut_off": "the writing or a line reaches beyond the box",
    "unreadable": "there is ink, but no text was read",
    "check_digits": "the check digits do not fit",
    "notation": "not written as the contract writes it",
    "no_level": "no level of the contract is near",
    "level": "the nearest level is not certain",
}


def doubt_words(doubt: str) -> str:
    """Return a doubt in words.

    >>> doubt_words("cut_off"), doubt_words("row_rule:null_key")
    ('the writing or a line reaches beyond the box', 'breaks the rule null_key')
    """
    name, _, rule = doubt.partition(":")
    return f"breaks the rule {rule}" if name == "row_rule" else WORDS[name]
