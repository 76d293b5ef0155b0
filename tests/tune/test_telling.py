"""Settings and measures as a reader wants them."""

from raykg.tune.telling import told_setting, told_settings, told_value, told_values


def test_settings():
    assert told_settings({"lora.rank": 16, "train.learning_rate": 0.0031}) == "lora.rank 16, train.learning_rate 0.0031"
    assert [told_setting(value) for value in (["q", "v"], True, None, 1e-5)] == ["q+v", "True", "None", "1e-05"]


def test_measures():
    assert (
        told_values({"accuracy": 0.5, "adapter_size": 2_460_000.0}, ["accuracy", "adapter_size"]) == "accuracy 0.500, adapter_size 2.5 MB"
    )
    assert told_value("latency", 0.0421) == "0.042 s"
