# SPDX-License-Identifier: MIT
# What a program of ours prints about itself, from its own table of options, when it is built:
# completions and the tables of its man pages, installed with it.
#
# mbr_printed_completions(target program word...)
#     What `PROGRAM word... --completion SHELL` prints, for bash, zsh and fish.
# mbr_printed_page(target page.section word...)
#     man/PAGE.SECTION.scd.in, with what `PROGRAM word...` prints instead of its line @TABLES@.
#     Nothing where scdoc is missing.
# mbr_printed(file target word...)
#     One file, what `PROGRAM word...` prints. Only where MBR_PRINTS is on.
# mbr_printed_target(name target)
#     A target, part of `all`, that makes what was described for the program `target`.
#
# A program for another machine, or one that a sanitizer stops, cannot print its own manual here:
# then MBR_PRINTS is off and the others do nothing.

find_program(SCDOC scdoc)
set(MBR_PRINTS ON)
if(CMAKE_CROSSCOMPILING OR MEMBRANE_SANITIZE)
    set(MBR_PRINTS OFF)
endif()

function(mbr_printed file target)
    list(JOIN ARGN " " words)
    add_custom_command(OUTPUT ${file} DEPENDS ${target} VERBATIM
        COMMAND sh -c "\"$1\" ${words} >\"$2\"" sh $<TARGET_FILE:${target}> ${file})
    set_property(TARGET ${target} APPEND PROPERTY MBR_PRINTED ${file})
endfunction()

function(mbr_printed_completions target program)
    if(NOT MBR_PRINTS)
        return()
    endif()
    set(here ${CMAKE_CURRENT_BINARY_DIR})
    mbr_printed(${here}/${program}.bash ${target} ${ARGN} --completion bash)
    mbr_printed(${here}/_${program} ${target} ${ARGN} --completion zsh)
    mbr_printed(${here}/${program}.fish ${target} ${ARGN} --completion fish)
    mbr_install_completion(${program} ${here}/${program}.bash)
    install(FILES ${here}/_${program} DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
    install(FILES ${here}/${program}.fish
            DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endfunction()

function(mbr_printed_page target page)
    if(NOT MBR_PRINTS OR NOT SCDOC)
        return()
    endif()
    set(out ${CMAKE_CURRENT_BINARY_DIR}/${page})
    set(source ${PROJECT_SOURCE_DIR}/man/${page}.scd.in)
    mbr_printed(${out}.tables ${target} ${ARGN})
    add_custom_command(OUTPUT ${out} DEPENDS ${source} ${out}.tables VERBATIM
        COMMAND sh -c [[sed -e "/^@TABLES@$/{r $2" -e "d;}" "$3" >"$4" && "$1" <"$4" >"$5"]] sh
            ${SCDOC} ${out}.tables ${source} ${out}.scd ${out})
    set_property(TARGET ${target} APPEND PROPERTY MBR_PRINTED ${out})
    string(REGEX MATCH "[0-9]$" section ${page})
    install(FILES ${out} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endfunction()

function(mbr_printed_target name target)
    get_target_property(printed ${target} MBR_PRINTED)
    if(printed)
        add_custom_target(${name} ALL DEPENDS ${printed})
    endif()
endfunction()
