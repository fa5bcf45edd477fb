# SPDX-License-Identifier: MIT
# What `cmake --install` puts where: libraries with a CMake package and a pkg-config file each,
# headers, bash completions. (Man pages: man/CMakeLists.txt. Tools install themselves.)

include(CMakePackageConfigHelpers)

# Outside /usr the loader would not find the libraries of a private prefix by itself.
if(NOT CMAKE_INSTALL_PREFIX STREQUAL "/usr")
    file(RELATIVE_PATH bin_to_lib /${CMAKE_INSTALL_BINDIR} /${CMAKE_INSTALL_LIBDIR})
    set(CMAKE_INSTALL_RPATH "$ORIGIN;$ORIGIN/${bin_to_lib}")
endif()

# mbr_install_library(Package target...)
# Installs the targets, PackageConfig.cmake (from cmake/PackageConfig.cmake.in) and package.pc (from
# cmake/package.pc.in). Consumers link Package::target.
function(mbr_install_library package)
    string(TOLOWER ${package} name)
    set(cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/${package})
    set(out ${PROJECT_BINARY_DIR}/package)

    install(TARGETS ${ARGN} EXPORT ${package}Targets
            RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
            LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
            ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(EXPORT ${package}Targets NAMESPACE ${package}:: DESTINATION ${cmake_dir})

    set(path_vars "")
    if(DEFINED MIDDL_IF_DIR)
        set(path_vars MIDDL_IF_DIR)
    endif()
    configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/${package}Config.cmake.in
        ${out}/${package}Config.cmake INSTALL_DESTINATION ${cmake_dir} PATH_VARS ${path_vars})
    # Before 1.0 a minor version may break its users.
    write_basic_package_version_file(${out}/${package}ConfigVersion.cmake
        COMPATIBILITY SameMinorVersion)
    install(FILES ${out}/${package}Config.cmake ${out}/${package}ConfigVersion.cmake
            DESTINATION ${cmake_dir})

    # Relative to the file itself: right for every --prefix, also one chosen at installation.
    file(RELATIVE_PATH up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
    string(REGEX REPLACE "/$" "" MBR_PC_UP ${up})
    configure_file(${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in ${out}/${name}.pc @ONLY)
    install(FILES ${out}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

# All installed headers: those of the native queues use types of the Demikernel C API.
function(mbr_install_headers)
    if(TARGET membrane)
        install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
                FILES_MATCHING PATTERN "*.h")
    endif()
endfunction()

# mbr_install_completion(program file): bash loads completions by the program's name.
function(mbr_install_completion program file)
    install(FILES ${file} RENAME ${program}
            DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
endfunction()
