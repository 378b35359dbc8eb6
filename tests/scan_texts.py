"""An application as the form has it, for tests of scans."""

TEXTS = {
    "loan_id": "25591", "application_year": "2019", "loan_limit": "cf", "gender": "Joint",
    "preapproval": "nopre", "loan_type": "type1", "loan_purpose": "p1", "credit_worthiness": "l1",
    "open_credit": "nopc", "business_purpose": "nob/c", "loan_amount_usd": "346500",
    "term_months": "360", "negative_amortization": "not_neg", "interest_only": "not_int",
    "lump_sum_payment": "not_lpsm", "property_value_usd": "438000", "construction_type": "sb",
    "occupancy_type": "pr", "secured_by": "home", "total_units": "1U",
    "income_usd_per_month": "5040", "credit_bureau": "EXP", "credit_score": "698",
    "coapplicant_credit_bureau": "CIB", "age_band": "45-54", "submission": "to_inst",
    "ltv_percent": "79.10958904", "region": "North", "security_type": "direct",
}  # fmt: skip
