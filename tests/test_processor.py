from biomarl_tune import processor


def test_a_processor_has_the_name_that_the_system_tells(tmp_path, monkeypatch):
    """Where the system does not tell, no name is its own."""
    about = tmp_path / "cpuinfo"
    monkeypatch.setattr(processor, "_ABOUT", about)
    assert not processor.is_made_by("GenuineIntel")

    about.write_text("processor : 0\nvendor_id : AuthenticAMD\n")
    assert processor.is_made_by("AuthenticAMD")
    assert not processor.is_made_by("GenuineIntel")
