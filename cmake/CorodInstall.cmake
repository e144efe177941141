# What `cmake --install` puts where, and what plugins are built with: the headers, the CMake package `corod`
# (docs/authors.md), and corod/build.h, which names them.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
include("${PROJECT_SOURCE_DIR}/cmake/package/corodCompiler.cmake")

# Of the form of the stamp and of what the server calls (server/plugin); all else is in the hash of the headers.
set(COROD_SDK_VERSION 1)
# What corod/plugin.h includes, and what a plugin's tests do.
set(COROD_SDK_HEADERS
  catalog/catalog.h catalog/definition.h catalog/namespaces.h catalog/registration.h catalog/restart_check.h
  coroutine/cleanup.h coroutine/coroutine.h coroutine/errors.h coroutine/exception.h coroutine/held.h
  coroutine/iterator.h coroutine/kept.h coroutine/map.h coroutine/outcome.h coroutine/promise.h coroutine/step_context.h
  coroutine/text_form.h coroutine/utf8.h coroutine/value.h
  plugin/plugin.h plugin/stamp.h)

# The headers as they are installed: server/coroutine/value.h is corod/coroutine/value.h, and server/plugin/plugin.h is
# corod/plugin.h. Configures again when one of them changes.
set(COROD_SDK_INCLUDE "${PROJECT_BINARY_DIR}/sdk/include")
set(hashes "")
foreach(header IN LISTS COROD_SDK_HEADERS)
  set(source "${PROJECT_SOURCE_DIR}/server/${header}")
  set_property(DIRECTORY "${PROJECT_SOURCE_DIR}" APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${source}")
  file(READ "${source}" text)
  string(REGEX REPLACE "server/plugin/" "corod/" text "${text}")
  string(REGEX REPLACE "server/(catalog|coroutine)/" "corod/\\1/" text "${text}")
  string(REGEX REPLACE "^plugin/" "" installed "${header}")
  file(CONFIGURE OUTPUT "${COROD_SDK_INCLUDE}/corod/${installed}" CONTENT "${text}" @ONLY)
  string(SHA256 hash "${text}")
  string(APPEND hashes "${installed} ${hash}\n")
endforeach()
string(SHA256 hash "${hashes}")
string(SUBSTRING "${hash}" 0 16 hash)
file(CONFIGURE OUTPUT "${COROD_SDK_INCLUDE}/corod/build.h" CONTENT [[
#ifndef COROD_BUILD_H_
#define COROD_BUILD_H_

// What plugins and the server are built with.
#define COROD_SDK_VERSION @COROD_SDK_VERSION@
#define COROD_SDK_HEADERS "@hash@"
#define COROD_SDK_RELEASE "@PROJECT_VERSION@"

#endif  // COROD_BUILD_H_
]] @ONLY)

# What a plugin is compiled with beside its own flags; the libraries of the engine, for tests, bring it too.
add_library(corod_sdk INTERFACE)
target_compile_features(corod_sdk INTERFACE cxx_std_20)
target_compile_options(corod_sdk INTERFACE -ffp-contract=off -fcoro-aligned-allocation)
target_include_directories(corod_sdk INTERFACE "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")

# corod_install(): called when all targets are there.
function(corod_install)
  install(TARGETS corod coroctl RUNTIME COMPONENT corod)
  install(FILES LICENSE TYPE DOC COMPONENT corod)

  set_target_properties(corod_sdk PROPERTIES EXPORT_NAME sdk)
  set_target_properties(corod_coroutine PROPERTIES EXPORT_NAME coroutine)
  set_target_properties(corod_catalog PROPERTIES EXPORT_NAME catalog)
  install(TARGETS corod_sdk corod_coroutine corod_catalog EXPORT corodTargets ARCHIVE COMPONENT sdk)
  install(DIRECTORY "${COROD_SDK_INCLUDE}/corod" TYPE INCLUDE COMPONENT sdk)

  set(package "${CMAKE_INSTALL_LIBDIR}/cmake/corod")
  set(out "${PROJECT_BINARY_DIR}/sdk/package")
  string(REGEX MATCH "^[0-9]+" COROD_CLANG "${CMAKE_CXX_COMPILER_VERSION}")
  corod_standard_library(COROD_STANDARD_LIBRARY)
  configure_package_config_file(cmake/package/corodConfig.cmake.in "${out}/corodConfig.cmake" INSTALL_DESTINATION "${package}")
  write_basic_package_version_file("${out}/corodConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
  install(EXPORT corodTargets NAMESPACE corod:: DESTINATION "${package}" COMPONENT sdk)
  install(FILES "${out}/corodConfig.cmake" "${out}/corodConfigVersion.cmake"
                cmake/package/corodCompiler.cmake cmake/package/corodAddCoroutines.cmake
          DESTINATION "${package}" COMPONENT sdk)
endfunction()
