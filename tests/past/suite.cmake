if(TARGET base_sim)
  add_suite(past LABEL sim LINK past tapestry base_sim fmt::fmt SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/pastry/ring.cpp)
  if(PELAGO_SANITIZE)
    # Models of hundreds of thousands of files, a thousand peers, hours of virtual time: ten times slower here, and the
    # code under them has tests of its own that run.
    set(too_long "*StorageManagement*:CachingModel.*:Load.*:Repair.AMassJoinDoesNotSlowClients:Repair.GoesOnAtItsFloor*")
    string(APPEND too_long ":Simulation.RegistersAreLinearizable:Simulation.PeersThatFlap*:Simulation.Visitors*")
    set_tests_properties(past PROPERTIES ENVIRONMENT "GTEST_FILTER=-${too_long}" TIMEOUT 2400)
  endif()
  target_include_directories(past_test PRIVATE ${PROJECT_SOURCE_DIR}/past/src)
  target_compile_definitions(past_test PRIVATE PELAGO_GOLDEN_DIR="${PROJECT_SOURCE_DIR}/tests/golden")
endif()
include(${CMAKE_CURRENT_SOURCE_DIR}/past/bench.cmake)
