# SPDX-License-Identifier: MIT
# mbr_present(VAR dir...)   those of the directories that have a CMakeLists.txt, in the given order
# mbr_add_present(dir...)   add_subdirectory() for those
#
# The glob is checked again at each build, so a directory is noticed when it appears.

function(mbr_present var)
    set(present "")
    foreach(dir ${ARGN})
        file(GLOB found CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${dir}/CMakeLists.txt)
        if(found)
            list(APPEND present ${dir})
        endif()
    endforeach()
    set(${var} ${present} PARENT_SCOPE)
endfunction()

macro(mbr_add_present)
    mbr_present(mbr_dirs ${ARGN})
    foreach(mbr_dir ${mbr_dirs})
        add_subdirectory(${mbr_dir})
    endforeach()
endmacro()
