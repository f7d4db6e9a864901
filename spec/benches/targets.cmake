# What spec/bench builds beside the program.
foreach(name sink rows rules)
  add_executable(bench_${name} ${benches}/${name}.c)
  target_link_libraries(bench_${name} PRIVATE netmove_flags)
endforeach()
target_link_libraries(bench_rows PRIVATE PkgConfig::SQLITE)
target_link_libraries(bench_rules PRIVATE nm_rules)
