# The rules of CONTRIBUTING.md that a machine can check.
find_program(PYTHON3 python3 REQUIRED)
add_test(NAME lint.tree COMMAND ${PYTHON3} ${CMAKE_CURRENT_SOURCE_DIR}/lint/tree_test.py ${CMAKE_SOURCE_DIR})
add_test(NAME lint.layers COMMAND ${PYTHON3} ${CMAKE_CURRENT_SOURCE_DIR}/lint/layers_test.py ${CMAKE_SOURCE_DIR})
add_test(NAME lint.format COMMAND ${PYTHON3} ${CMAKE_CURRENT_SOURCE_DIR}/lint/format_test.py ${CMAKE_SOURCE_DIR})
set_tests_properties(lint.tree lint.layers lint.format PROPERTIES LABELS unit)
