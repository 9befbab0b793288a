# Stories with real processes: tests/e2e/<name>_test.py, which is given the pelago binary.
find_program(PYTHON3 python3 REQUIRED)
file(GLOB e2e_tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/e2e/*_test.py)
foreach(source IN LISTS e2e_tests)
  get_filename_component(name ${source} NAME_WE)
  string(REGEX REPLACE "_test$" "" name ${name})
  add_test(NAME e2e.${name} COMMAND ${PYTHON3} ${source} $<TARGET_FILE:pelago>)
  # A story may load both cores, and its time-outs are those of real protocols: one at a time.
  set_tests_properties(e2e.${name} PROPERTIES LABELS e2e TIMEOUT 1800 RUN_SERIAL ON)
endforeach()
