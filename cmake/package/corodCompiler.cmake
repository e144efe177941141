# What is asked of the compiler that a plugin is built with.

# "libstdc++ 12": what the compiler at hand uses, with CMAKE_CXX_FLAGS; empty if it is none that we know.
function(corod_standard_library out)
  separate_arguments(flags NATIVE_COMMAND "${CMAKE_CXX_FLAGS}")
  execute_process(COMMAND "${CMAKE_CXX_COMPILER}" ${flags} -std=c++20 -include cstddef -dM -E -x c++ /dev/null
                  OUTPUT_VARIABLE macros ERROR_QUIET)
  set(library "")
  if(macros MATCHES "#define _LIBCPP_VERSION ([0-9]+)")
    set(library "libc++ ${CMAKE_MATCH_1}")
  elseif(macros MATCHES "#define _GLIBCXX_RELEASE ([0-9]+)")
    set(library "libstdc++ ${CMAKE_MATCH_1}")
  endif()
  set(${out} "${library}" PARENT_SCOPE)
endfunction()

# Why a plugin cannot be built with the compiler at hand; empty if it can. `clang` (its major version) and `library` are
# what corod was built with.
function(corod_compiler_fault out clang library)
  set(fault "")
  string(REGEX MATCH "^[0-9]+" major "${CMAKE_CXX_COMPILER_VERSION}")
  set(advice "configure with -DCMAKE_CXX_COMPILER=clang++-${clang}")
  if(NOT CMAKE_CXX_COMPILER_ID)
    set(fault "corod's plugins are C++: name CXX among the languages of project()")
  elseif(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    string(CONCAT fault "GCC cannot build corod's plugins: GCC 12 destroys the temporaries of co_yield expressions twice, and "
                        "a plugin shares coroutine frames with corod, which was built with clang ${clang}; ${advice}")
  elseif(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR NOT major EQUAL clang)
    string(CONCAT fault "a plugin is built with the compiler that corod was built with, clang ${clang}, and this is "
                        "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}; ${advice}")
  else()
    corod_standard_library(found)
    if(NOT found STREQUAL library)
      string(CONCAT fault "a plugin uses the standard library that corod was built with, ${library}, and here it is ${found}; "
                          "see -stdlib and --gcc-install-dir of clang")
    endif()
  endif()
  set(${out} "${fault}" PARENT_SCOPE)
endfunction()
