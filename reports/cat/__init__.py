"""Events of an exchange as the Consolidated Audit Trail takes them, modelled on CAT Participants v1.7.1: fields, words, files, checks, feedback."""
