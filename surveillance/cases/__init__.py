"""What analysts do about alerts: cases and suppressions as state machines over the topic `cases`. Pure."""
