# The one place that says which layer may use which, bottom first. Linking upward stops here; including upward stops the
# compiler, because each layer's include root holds only its own headers.
set(PELAGO_LAYERS base pastry tapestry past objstore fuse)
set(base_MAY_USE "")
set(pastry_MAY_USE base)
set(tapestry_MAY_USE base pastry)
set(past_MAY_USE base pastry tapestry)
set(objstore_MAY_USE base pastry tapestry past)
set(fuse_MAY_USE base objstore)

# add_layer(name SOURCES ... HEADERS ... [PUBLIC layers and libraries] [PRIVATE libraries])
function(add_layer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;HEADERS;PUBLIC;PRIVATE")
  foreach(dep IN LISTS arg_PUBLIC arg_PRIVATE)
    if(dep IN_LIST PELAGO_LAYERS AND NOT dep IN_LIST ${name}_MAY_USE)
      message(FATAL_ERROR "${name} must not use ${dep}; see docs/architecture.md#layers")
    endif()
    if(dep MATCHES "^base_(host|sim)$")
      message(FATAL_ERROR "${name} must not use ${dep}: layers see the doors, tools and tests choose them")
    endif()
  endforeach()
  add_library(${name} STATIC ${arg_SOURCES})
  target_sources(${name} PUBLIC FILE_SET HEADERS BASE_DIRS include FILES ${arg_HEADERS})
  target_include_directories(${name} PRIVATE src)
  target_link_libraries(${name} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  set_target_properties(${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
  pelago_use_pch(${name})
endfunction()

# add_layer_proto(layer file.proto...): <layer>_proto, generated into the build folder; link it PRIVATE. Only the layer's
# src/codec*.cpp include the generated headers.
function(add_layer_proto layer)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/proto)
  file(MAKE_DIRECTORY ${out})
  set(generated)
  foreach(file IN LISTS ARGN)
    get_filename_component(stem ${file} NAME_WE)
    add_custom_command(
      OUTPUT ${out}/${stem}.pb.cc ${out}/${stem}.pb.h
      COMMAND protobuf::protoc --cpp_out=${out} -I ${CMAKE_CURRENT_SOURCE_DIR}/proto ${CMAKE_CURRENT_SOURCE_DIR}/${file}
      DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
    list(APPEND generated ${out}/${stem}.pb.cc)
  endforeach()
  add_library(${layer}_proto STATIC ${generated})
  target_include_directories(${layer}_proto SYSTEM PUBLIC ${out})
  target_link_libraries(${layer}_proto PUBLIC protobuf::libprotobuf)
  target_compile_options(${layer}_proto PRIVATE -w)
endfunction()
