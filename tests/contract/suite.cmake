add_suite(contract LABEL unit LINK base_sim base_host)
