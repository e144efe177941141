# Writes a linker's list of all that static libraries define. What they hold only as copies of what headers define is left
# out: whoever uses that has a copy.
#   cmake -D NM=nm -D LIBRARIES=a,b -D OUTPUT=FILE -P list_exports.cmake
string(REPLACE "," ";" libraries "${LIBRARIES}")
execute_process(COMMAND "${NM}" --extern-only --defined-only --format=posix ${libraries}
                OUTPUT_VARIABLE symbols ERROR_VARIABLE said COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "\n_Z[^ \n]+ [TDBR] " symbols "${symbols}")
list(SORT symbols)
set(lines "")
foreach(symbol IN LISTS symbols)
  string(REGEX REPLACE "\n(.+) . " "\\1" symbol "${symbol}")
  string(APPEND lines "  ${symbol};\n")
endforeach()
file(WRITE "${OUTPUT}" "{\n${lines}};\n")
