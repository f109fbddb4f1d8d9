import json

import pytest

from textleak.results.record import RunRecord, json_text


def test_the_contract(record: RunRecord) -> None:
    data = json.loads(record.to_json())
    assert next(iter(data)) == "schema"
    assert data["schema"] == 2
    assert data.keys() >= {
        *("schema", "command", "attack", "model", "activation", "task", "threat_model"),
        *("defences", "seed", "versions", "sequences", "token_match", "exact_rate"),
        *("rouge1", "rouge2", "rougeL", "verified", "gradient_error", "evaluations"),
        *("seconds", "seconds_per_evaluation"),
    }
    assert data["sequences"][0].keys() >= {
        *("reference", "recovered", "reference_ids", "recovered_ids", "token_match", "exact"),
        *("rouge1", "rouge2", "rougeL"),
    }


def test_the_record_reads_its_own_json(record: RunRecord) -> None:
    assert RunRecord.model_validate_json(record.to_json()) == record


def test_json_never_holds_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text({"x": float("nan")})
