#ifndef APP_VERSION_H
#define APP_VERSION_H

/*
 * The version, as meson.build at the root states it. Objects outside the build
 * (an editor's, the headers-alone test's) see "unknown".
 */

#ifndef SHOPBELL_VERSION
#    define SHOPBELL_VERSION "unknown"
#endif

#endif
