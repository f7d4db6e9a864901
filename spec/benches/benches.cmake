# Adds the programs of spec/benches to netmove's own build:
# cmake -DCMAKE_PROJECT_netmove_INCLUDE=spec/benches/benches.cmake ...
set(benches ${CMAKE_CURRENT_LIST_DIR})
cmake_language(DEFER CALL include ${benches}/targets.cmake)
