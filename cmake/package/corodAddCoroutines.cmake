# corod_add_coroutines(TARGET source ...)
# A library that `corod --plugin` loads. Nothing of it is visible to other libraries but what the server looks for.
function(corod_add_coroutines target)
  if(NOT ARGN)
    message(FATAL_ERROR "corod_add_coroutines(${target} ...): name its sources")
  endif()
  add_library(${target} MODULE ${ARGN})
  target_link_libraries(${target} PRIVATE corod::sdk)
  set_target_properties(${target} PROPERTIES
    CXX_EXTENSIONS OFF
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON)
endfunction()
