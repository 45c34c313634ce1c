# The macros of a scripted module. A file that is listed and missing is an error; every listed file is installed with
# its folder, so the installed tree is the flat one of Slicer.
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY_SLICER "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  foreach(listed_file ${MY_SLICER_SCRIPTS} ${MY_SLICER_RESOURCES})
    set(found_file ${listed_file})
    if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${found_file})
      set(found_file ${listed_file}.py)
    endif()
    if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${found_file})
      message(FATAL_ERROR "module ${MY_SLICER_NAME} lists '${listed_file}', which does not exist")
    endif()
    get_filename_component(folder ${found_file} DIRECTORY)
    install(FILES ${found_file} DESTINATION ${Slicer_QTSCRIPTEDMODULES_LIB_DIR}/${folder})
  endforeach()
endmacro()

# Tests run in Slicer only.
function(slicer_add_python_unittest)
endfunction()
function(slicer_add_python_test)
endfunction()
