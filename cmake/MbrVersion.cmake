# SPDX-License-Identifier: MIT
# The version has one home, the file VERSION. base.h repeats it for the preprocessor, because
# installed headers are not generated; this stops the build when the two differ.

set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/VERSION)

set(header ${PROJECT_SOURCE_DIR}/include/membrane/base.h)
if(EXISTS ${header})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
    file(READ ${header} text)
    foreach(part MAJOR MINOR PATCH)
        if(text MATCHES "MBR_VERSION_${part}[ \t]+([0-9]+)"
           AND NOT CMAKE_MATCH_1 EQUAL PROJECT_VERSION_${part})
            message(FATAL_ERROR "MBR_VERSION_${part} is ${CMAKE_MATCH_1} in base.h, but "
                                "${PROJECT_VERSION_${part}} in VERSION")
        endif()
    endforeach()
endif()
