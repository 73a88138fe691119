# Adds to the packages, before they are packed, what Debian wants in each: the copyright, a
# changelog, compressed pages.

set(source ${CMAKE_CURRENT_LIST_DIR}/..)
file(READ ${source}/LICENSE licence)
file(READ ${source}/NOTICE notice)
string(APPEND notice "
On Debian systems the Apache License 2.0 is in /usr/share/common-licenses/Apache-2.0.
")
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC) # of SOURCE_DATE_EPOCH
foreach(component ${CPACK_COMPONENTS_ALL})
  set(root ${CPACK_TEMPORARY_DIRECTORY}/${component}/usr/share)
  set(docs ${root}/doc/${component})
  file(WRITE ${docs}/copyright "${licence}\n${notice}")
  file(WRITE ${docs}/changelog "${component} (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium

  * See /usr/share/doc/argent/CHANGELOG.md.

 -- ${CPACK_PACKAGE_CONTACT}  ${date}
")
  execute_process(COMMAND gzip -9nf ${docs}/changelog COMMAND_ERROR_IS_FATAL ANY)
  if(EXISTS ${root}/man/man1/argent.1)
    execute_process(COMMAND gzip -9nf ${root}/man/man1/argent.1 COMMAND_ERROR_IS_FATAL ANY)
  endif()
endforeach()
