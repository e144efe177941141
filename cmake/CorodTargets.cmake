# How targets are declared here, so that each folder's CMakeLists.txt is a list of names.

# corod_library(NAME SOURCES a.cc ... DEPENDS target ...)
function(corod_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>")
  target_compile_options(${name} PRIVATE ${COROD_WARNINGS})
  target_link_libraries(${name} PUBLIC ${ARG_DEPENDS})
endfunction()

# corod_executable(NAME SOURCES a.cc ... DEPENDS target ...)
function(corod_executable name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_compile_options(${name} PRIVATE ${COROD_WARNINGS})
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS})
endfunction()

# corod_test(NAME SOURCES a_test.cc ... DEPENDS target ... [LABELS label ...])
# One GoogleTest binary, one ctest entry. LABELS choose which presets run it (see tests/CMakeLists.txt).
function(corod_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LABELS" ${ARGN})
  corod_executable(${name} SOURCES ${ARG_SOURCES} DEPENDS ${ARG_DEPENDS} GTest::gmock GTest::gtest GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  add_test(NAME ${name} COMMAND ${name} --gtest_brief=1)
  set_tests_properties(${name} PROPERTIES TIMEOUT 1200 LABELS "${ARG_LABELS}")
  foreach(label IN LISTS ARG_LABELS)
    if(TARGET corod_${label}_tests)
      add_dependencies(corod_${label}_tests ${name})
    endif()
  endforeach()
endfunction()

# corod_exports(EXECUTABLE LIBRARIES target ...)
# The whole of these static libraries is in the executable, and a library that it loads can use what they define.
function(corod_exports name)
  cmake_parse_arguments(ARG "" "" "LIBRARIES" ${ARGN})
  set(list "${CMAKE_CURRENT_BINARY_DIR}/${name}.exports")
  list(TRANSFORM ARG_LIBRARIES REPLACE "(.+)" "$<TARGET_FILE:\\1>" OUTPUT_VARIABLE files)
  list(JOIN files "," files)
  list(JOIN ARG_LIBRARIES "," libraries)
  set(script "${PROJECT_SOURCE_DIR}/cmake/list_exports.cmake")
  add_custom_command(
    OUTPUT "${list}"
    COMMAND "${CMAKE_COMMAND}" -D "NM=${CMAKE_NM}" -D "LIBRARIES=${files}" -D "OUTPUT=${list}" -P "${script}"
    DEPENDS ${ARG_LIBRARIES} "${script}"
    COMMENT "Listing what ${name} exports"
    VERBATIM)
  target_sources(${name} PRIVATE "${list}")
  target_link_options(${name} PRIVATE "LINKER:--dynamic-list=${list}")
  set_target_properties(${name} PROPERTIES LINK_LIBRARY_OVERRIDE "WHOLE_ARCHIVE,${libraries}" LINK_DEPENDS "${list}")
endfunction()
