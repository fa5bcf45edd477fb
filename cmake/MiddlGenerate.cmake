# SPDX-License-Identifier: MIT
# middl_generate(target Foo.if... [INCLUDE dir...])
#
# Compiles interfaces for a target: its sources can include "Foo.h", the type records are linked
# into it, and it is linked with libmiddl. Needed interfaces are looked for beside the file, in the
# directories after INCLUDE, then among the standard ones, whose headers are installed.
# Whatever was read is a dependency: a change of a needed interface compiles again.

function(middl_generate target)
    cmake_parse_arguments(PARSE_ARGV 1 M "" "" "INCLUDE")
    set(dir ${CMAKE_CURRENT_BINARY_DIR}/middl/${target})
    file(MAKE_DIRECTORY ${dir})
    set(path "")
    foreach(include ${M_INCLUDE})
        cmake_path(ABSOLUTE_PATH include)
        list(APPEND path -I${include})
    endforeach()
    foreach(file ${M_UNPARSED_ARGUMENTS})
        cmake_path(ABSOLUTE_PATH file)
        cmake_path(GET file STEM name)
        set(outputs ${dir}/${name}.h ${dir}/${name}.types.c)
        add_custom_command(OUTPUT ${outputs}
            COMMAND Middl::middlc --header --types ${path} -I${MIDDL_IF_DIR}
                    -d ${dir} -MF ${dir}/${name}.d ${file}
            DEPENDS ${file} Middl::middlc DEPFILE ${dir}/${name}.d
            COMMENT "Compiling interface ${name}" VERBATIM)
        target_sources(${target} PRIVATE ${outputs})
    endforeach()
    target_include_directories(${target} PRIVATE ${dir})
    target_link_libraries(${target} PRIVATE Middl::middl)
endfunction()
