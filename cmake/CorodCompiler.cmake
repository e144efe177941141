# The compiler and the flags that every target is built with.

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  message(FATAL_ERROR
    "GCC ${CMAKE_CXX_COMPILER_VERSION} miscompiles coroutines (temporaries in co_yield expressions are destroyed twice). "
    "Configure with a preset (cmake --preset release), which uses clang++-19.")
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(COROD_CCACHE ccache)
if(COROD_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${COROD_CCACHE}")
endif()

# One result for one input on every machine: no fused multiply-add that another machine lacks.
add_compile_options(-ffp-contract=off -fno-omit-frame-pointer)
set(COROD_WARNINGS -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wthread-safety -Werror)

set(COROD_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize takes them: address,undefined or thread")
if(COROD_SANITIZE)
  add_compile_options(-fsanitize=${COROD_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${COROD_SANITIZE})
  # Debian's gRPC is not instrumented; its headers must not assume that it is.
  add_compile_definitions(GRPC_ASAN_SUPPRESSED GRPC_TSAN_SUPPRESSED)
endif()

find_program(COROD_LLD ld.lld-19)
if(COROD_LLD)
  add_link_options(--ld-path=${COROD_LLD})
endif()
