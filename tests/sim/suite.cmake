add_suite(sim LABEL sim LINK base_sim)
