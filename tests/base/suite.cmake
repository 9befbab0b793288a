add_suite(base LABEL unit LINK base)
